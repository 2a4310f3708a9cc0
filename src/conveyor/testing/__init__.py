"""
A kit for testing pipelines, and what one writes for them.

::

    from conveyor import testing

    async def main() -> None: ...

    testing.run(main, backend="trio", seed=1)

===================  =============================================================================
``run``              run a coroutine function in virtual time, on a repeatable schedule
``backend_options``  the same for tests that AnyIO's pytest plugin runs
``shake``            run it on many schedules
``hold_clock``       let real time pass
``ProbeSource``      a source under the control of the test
``ProbeConsumer``    a consumer under the control of the test
``check_task``       does a task behave, whatever happens around it?
``check_source``     does a source?
===================  =============================================================================

Nothing here is imported by ``import conveyor``. Trio is needed, and imported, only where something
is run on it.
"""

from .checks import check_source, check_task
from .clock import DeadlockError, TickLimitError, hold_clock
from .probe_consumer import ProbeConsumer
from .probe_source import ProbeSource
from .runner import backend_options, run
from .shaking import shake

__all__ = [
    "DeadlockError",
    "ProbeConsumer",
    "ProbeSource",
    "TickLimitError",
    "backend_options",
    "check_source",
    "check_task",
    "hold_clock",
    "run",
    "shake",
]
