"""
Observers that come with the package, for :meth:`.Pipeline.with_observer`.

================= ==========================================================================
``Progress``      rows on a terminal (extra ``rich``), lines elsewhere
``TqdmProgress``  a bar, also in notebooks (extra ``tqdm``)
``Timeline``      a file for a trace viewer, and a picture (extra ``picture``)
================= ==========================================================================

Each is imported when it is first asked for, and so is what it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .picture import draw_timeline
    from .progress import Progress
    from .timeline import Timeline, record_timeline
    from .tqdm_progress import TqdmProgress

__all__ = [
    "Progress",
    "Timeline",
    "TqdmProgress",
    "draw_timeline",
    "record_timeline",
]

_LATER = {
    "Progress": "progress",
    "Timeline": "timeline",
    "TqdmProgress": "tqdm_progress",
    "draw_timeline": "picture",
    "record_timeline": "timeline",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_LATER[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
