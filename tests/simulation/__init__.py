"""
Random runs of random pipelines, each described by one integer and replayed from it.

:mod:`.scenario` makes a description from a seed, :mod:`.behaviour` says what each call does in it,
:mod:`.model` computes in plain Python what must come out. :mod:`.stages`, :mod:`.processes`,
:mod:`.sources` and :mod:`.consumers` do it, :mod:`.world` and :mod:`.idleness` watch the engine
meanwhile, :mod:`.run` plays a scenario on a backend, and :mod:`.checks` compares.

``python -m simulation --seed 7 --backend trio -v``, in ``tests``, replays one seed.
"""
