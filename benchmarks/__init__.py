"""
What a pipeline costs: Conveyor beside its peers and beside what one writes by hand.

``nox -s bench`` runs it; ``nox -s bench -- --help`` lists the options.

=================== ================================================================================
``__main__``        the command line
``work``            the functions that the stages call, the same for everybody
``workload``        what a workload is, and how one turn of it is timed and checked
``workloads``       the workloads, a small file each
``contenders``      the adapters: a file per library, and per program written by hand
``environments``    a virtual environment for each library
``worker``          the program that runs in such an environment and takes turns on request
``process``         a worker, seen from outside
``rounds``          contenders taking turns, round by round
``scaling``         the same for long runs, in fresh processes
``figures``         what was measured: medians, spreads, ratios
``targets``         what Conveyor wants to reach
``tables``          the figures in words, on the terminal
``report``          the figures as a page of the documentation, with ``plots``
``counts``          operations per item, which do not depend on the machine
``compare``         those and some ratios against ``reference.json``
=================== ================================================================================
"""
