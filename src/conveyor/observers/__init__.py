"""
What comes with the package to look at runs: observers, for :meth:`.Pipeline.with_observer`.

Each is in a module of its own, imported when its name is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .picture import draw_timeline
    from .timeline import Timeline, record_timeline

__all__ = [
    "Timeline",
    "draw_timeline",
    "record_timeline",
]

_HOMES = {
    "Timeline": "timeline",
    "draw_timeline": "picture",
    "record_timeline": "timeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
