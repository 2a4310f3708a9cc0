"""The workloads, in the order in which they are run and shown."""

from __future__ import annotations

from ..workload import Workload
from . import (
    batches,
    expansion,
    filtering,
    first_result,
    importing,
    long_run,
    retries,
    sleeping,
    start_up,
    stragglers,
    trivial,
)

ALL: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        trivial.ORDERED,
        trivial.ONE_STAGE,
        trivial.TEN_STAGES,
        trivial.ITERATED,
        trivial.AS_COMPLETED,
        trivial.SYNCHRONOUS,
        batches.BATCHES,
        filtering.FILTERING,
        expansion.EXPANSION,
        retries.RETRIES,
        sleeping.SLEEPING,
        stragglers.ORDERED,
        stragglers.AS_COMPLETED,
        first_result.FIRST_RESULT,
        start_up.START_UP,
        start_up.SPAWN,
        long_run.LONG_RUN,
        importing.IMPORTING,
    )
}
