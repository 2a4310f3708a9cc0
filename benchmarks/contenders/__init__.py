"""
Who takes part, and the adapters that let them.

An adapter is a module with a function for each kind of work that its library can do; what it has no
function for is shown as "–", with the reason from ``CANNOT`` if it gives one. It may have:

=================================== ================================================================
``ordered(data, functions)``        all results of ``async`` stages, in the order of the data
``as_completed(data, functions)``   the same in any order
``synchronous(data, functions)``    stages of plain functions, called in the event loop; in order
``batched(data, before, batch, size, after)``  single items, batches, single items; in order
``filtered(data, before, keep, after)``        a predicate in the middle; in order
``expanded(data, expand, after)``   *expand* returns a list, of which each goes on; in order
``retried(data, function, attempts)``          a stage that may fail; in order
``concurrent(data, functions, limit)``         *limit* calls at once in each stage; in order
``concurrent_as_completed(...)``    the same in any order
``streaming(data, functions)``      a context manager on an async iterator over the results
``endless(data, functions)``        the same, for data without end
``spawned(count)``                  start and end empty tasks
``IMPORT``                          the statements that import the library
``OPTIONAL``                        modules that these must not import
=================================== ================================================================
"""

from __future__ import annotations

from dataclasses import dataclass

ASYNCIO = ("asyncio", "uvloop")
EVERYWHERE = ("asyncio", "uvloop", "trio")


@dataclass(frozen=True)
class Contender:
    name: str
    module: str
    """The adapter, in this package."""
    backends: tuple[str, ...]
    trio_module: str | None = None
    """Its adapter on Trio, if that is another one."""
    requirements: tuple[str, ...] = ()
    """What its own virtual environment holds; without any it runs in Conveyor's."""
    distribution: str | None = None
    """Whose version is shown."""

    def adapter(self, backend: str) -> str:
        return self.trio_module if backend == "trio" and self.trio_module else self.module

    @property
    def is_peer(self) -> bool:
        return bool(self.requirements)


def peer(name: str, module: str, backends: tuple[str, ...], *requirements: str) -> Contender:
    """Describe a library that has an environment of its own; the first requirement is itself."""
    distribution = requirements[0].partition("==")[0]
    if "uvloop" in backends:
        requirements = (*requirements, "uvloop; sys_platform != 'win32'")
    return Contender(name, module, backends, requirements=requirements, distribution=distribution)


ALL: dict[str, Contender] = {
    contender.name: contender
    for contender in (
        Contender("Conveyor", "conveyor", EVERYWHERE, distribution="conveyor-streaming"),
        Contender("bare loop", "bare_loop", EVERYWHERE),
        Contender("worker pool", "worker_pool", EVERYWHERE),
        Contender("task per item", "task_per_item_asyncio", EVERYWHERE, "task_per_item_trio"),
        Contender("asyncio queues", "asyncio_queues", ASYNCIO),
        Contender("AnyIO streams", "anyio_streams", EVERYWHERE),
        Contender("AnyIO names", "anyio_names", ("asyncio",)),
        peer("conveyor-streaming 1.2", "conveyor_1_2", ASYNCIO, "conveyor-streaming==1.2.1"),
        peer("aiostream", "aiostream", ASYNCIO, "aiostream"),
        peer("streamable", "streamable", ASYNCIO, "streamable"),
        # It imports pkg_resources, which newer versions of setuptools do not have.
        peer("pypeln", "pypeln", ASYNCIO, "pypeln", "setuptools<81"),
        peer("aiometer", "aiometer", EVERYWHERE, "aiometer", "trio"),
        # It asks for a Trio older than everybody else's.
        peer("slurry", "slurry", ("trio",), "slurry"),
    )
}
