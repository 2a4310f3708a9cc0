"""
Side inputs: what a task's function gets besides the item.

A plain value is passed as it is. A coroutine is awaited and a stream asked for its first item, once
per configured task, whoever asks first; the value is kept for later runs. An async iterator is
passed on as a :class:`SharedIterator`.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from anyio import Lock

from .stream import AsyncStream

if TYPE_CHECKING:
    from ._engine.flight import Flight
    from ._engine.host import Host

__all__ = ["SharedIterator", "SideInputs"]


class SharedIterator(AsyncIterator[Any]):
    """
    An async iterator that many calls may use at once.

    Concurrent ``anext()`` calls queue up, first come first served, where the bare iterator would
    raise. All other attributes are those of the iterator itself.

    :param iterator: what the calls share; whoever made it closes it
    """

    def __init__(self, iterator: AsyncIterator[Any]) -> None:
        self._iterator = iterator
        self._host: Host | None = None
        self._lock: Lock

    async def __anext__(self) -> Any:
        from ._engine.host import current_host

        # A lock belongs to one event loop; a later run may be on another.
        if self._host is None or not self._host.is_current():
            self._host = current_host()
            self._lock = Lock()
        async with self._lock:
            return await self._iterator.__anext__()

    def __getattr__(self, name: str) -> Any:
        if name == "_iterator":
            raise AttributeError(name)  # of a copy that is being made
        return getattr(self._iterator, name)


# By the identity of their iterators, which they keep alive.
_shared: WeakValueDictionary[int, SharedIterator] = WeakValueDictionary()


def shared(iterator: AsyncIterator[Any]) -> SharedIterator:
    """
    Return the one :class:`SharedIterator` of *iterator*, wherever that is given as a side input.

    :param iterator: of a user's
    """
    found = _shared.get(id(iterator))
    if found is None:
        found = _shared[id(iterator)] = SharedIterator(iterator)
    return found


class _Pending:
    """A value that is not there yet: fetched once, by whoever needs it first, for all who do."""

    def __init__(self, fetch: Callable[[], Awaitable[Any]]) -> None:
        self._fetch = fetch
        self._flight: Flight | None = None

    async def get(self) -> Any:
        from ._engine.flight import Flight

        if self._flight is None:
            self._flight = Flight(
                self._fetch,
                "a side input was cancelled before it had a value; configure the task again "
                "with with_inputs(...)",
            )
        return await self._flight.result()


def _prepare(value: Any) -> Any:
    if isinstance(value, (_Pending, SharedIterator)):
        return value
    if isinstance(value, AsyncStream):
        return _Pending(value.first)
    if inspect.iscoroutine(value):
        return _Pending(lambda: value)
    # What can be called is more than an iterator: a stand-in of unittest.mock, say.
    if not callable(value) and isinstance(value, AsyncIterator):
        # isinstance() leaves the element type unknown
        return shared(value)  # pyright: ignore[reportUnknownArgumentType]
    return value


async def _resolve(value: Any) -> Any:
    return await value.get() if isinstance(value, _Pending) else value


class SideInputs:
    """
    The arguments of a task after the item.

    :param args: positional ones
    :param kwargs: named ones
    """

    def __init__(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> None:
        self.args: tuple[Any, ...] = tuple(_prepare(each) for each in args)
        self.kwargs: dict[str, Any] = {
            name: _prepare(each) for name, each in (kwargs or {}).items()
        }

    def __bool__(self) -> bool:
        return bool(self.args or self.kwargs)

    @property
    def has_stream(self) -> bool:
        """Whether the calls share an async iterator, and so must start in input order."""
        return any(isinstance(each, SharedIterator) for each in (*self.args, *self.kwargs.values()))

    def updated(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> SideInputs:
        """
        Return these inputs with *args*, if there are any, in place of the positional ones and
        *kwargs* laid over the named ones.

        :param args: positional arguments
        :param kwargs: named arguments
        """
        return SideInputs(args or self.args, {**self.kwargs, **kwargs})

    async def bind(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """
        Return *function* with these inputs bound after its own arguments.

        :param function: any callable
        :raises Exception: what a coroutine or stream among the inputs raised
        """
        args = [await _resolve(each) for each in self.args]
        kwargs = {name: await _resolve(each) for name, each in self.kwargs.items()}

        def bound(*items: Any) -> Any:
            """Call *function* with the side inputs behind its own arguments."""
            return function(*items, *args, **kwargs)

        return bound
