"""
Random runs of random pipelines, each described by one integer and replayed from it.

:mod:`.scenario` makes a description from a seed, :mod:`.behaviour` says what each call does in it,
:mod:`.model` computes in plain Python what must come out. :mod:`.world`, :mod:`.stages` and the like are the
sources, functions and handlers that do it and watch the engine meanwhile, :mod:`.consumers` are
those who read the results, :mod:`.run` plays a scenario on a backend, and :mod:`.checks` compares.

``python -m simulation --seed 7 --backend trio -v``, in ``tests``, replays one seed.
"""
