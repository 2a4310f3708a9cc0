"""
Where results are kept so that equal items need no further call: what ``cache=`` may be given.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Protocol, TypeAlias

__all__ = ["AsyncStore", "Store"]


class AsyncStore(Protocol):
    """
    A store of results whose methods are awaited: a database, or a cache shared by processes.

    Any object with these two methods will do. Of the items of a key one at a time is looked up or
    stored in a run; for different keys the methods are called concurrently. When a run ends early,
    they are cancelled where they wait.
    """

    async def get(self, key: Any, default: Any, /) -> Any:
        """
        Return what has been stored.

        :param key: what ``key=`` returned for an item, or the item itself
        :param default: to be returned, this very object, if nothing has been stored for *key*
        :raises Exception: if it cannot tell; then the item fails
        """
        raise NotImplementedError

    async def set(self, key: Any, value: Any, /) -> Any:
        """
        Store a result, in place of an earlier one.

        :param key: what ``key=`` returned for an item, or the item itself
        :param value: what the task's function returned, also ``None``; of a list, a copy
        :raises Exception: if it cannot be stored; then the item fails
        """
        raise NotImplementedError


Store: TypeAlias = MutableMapping[Any, Any] | AsyncStore
"""What ``cache=`` may be given."""
