"""
The list of faults.

Each is a mistake that has been made in libraries of this kind, or that a change of this one could
bring. Whoever changes the code that a fault is about adapts the fault; ``tests/test_mutants.py``
fails until it fits again. Whoever finds a bug that no test saw adds it here, with the test.
"""

from __future__ import annotations

from . import (
    adaptive,
    batches,
    bounds,
    calls,
    circuit_breaker,
    diagrams,
    draining,
    ending,
    expansions,
    failure_order,
    failures,
    fallback,
    handing_over,
    hedging,
    hooks,
    keys,
    observing,
    order,
    outcomes,
    parking,
    progress,
    retry_budget,
    run_log,
    telemetry,
    threads,
    waking,
)

TOPICS = (
    handing_over,
    waking,
    parking,
    bounds,
    expansions,
    order,
    batches,
    calls,
    retry_budget,
    circuit_breaker,
    fallback,
    failures,
    failure_order,
    outcomes,
    draining,
    threads,
    ending,
    adaptive,
    hedging,
    keys,
    hooks,
    observing,
    progress,
    run_log,
    diagrams,
    telemetry,
)

FAULTS = [fault for topic in TOPICS for fault in topic.FAULTS]
