"""
A kit for testing pipelines: virtual time, repeatable random schedules, and deadlocks that end.

::

    from conveyor import testing

    async def main() -> None: ...

    testing.run(main, backend="trio", seed=1)

Nothing here is imported by ``import conveyor``. Trio is needed, and imported, only where something
is run on it.
"""

from .clock import DeadlockError, TickLimitError, hold_clock
from .runner import backend_options, run

__all__ = ["DeadlockError", "TickLimitError", "backend_options", "hold_clock", "run"]
