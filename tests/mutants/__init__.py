"""
Named faults, and a gate that proves that the tests find every one of them.

``nox -s mutants`` puts each fault into a copy of the package and runs the tests that are to fail.
"""
