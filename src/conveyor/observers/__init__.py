"""
Observers that come with the package, for :meth:`.Pipeline.with_observer`.

================= ==========================================================================
``Progress``      rows on a terminal (extra ``rich``), lines elsewhere
``TqdmProgress``  a bar, also in notebooks (extra ``tqdm``)
================= ==========================================================================

Each is imported when it is first asked for, and so is what it needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .progress import Progress
    from .tqdm_progress import TqdmProgress

__all__ = [
    "Progress",
    "TqdmProgress",
]

_LATER = {
    "Progress": "progress",
    "TqdmProgress": "tqdm_progress",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_LATER[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
