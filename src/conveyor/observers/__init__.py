"""
Observers that come with the package, for :meth:`.Pipeline.with_observer`.

===================== ======================================================================
``Progress``          rows on a terminal (extra ``rich``), lines elsewhere
``TqdmProgress``      a bar, also in notebooks (extra ``tqdm``)
``Timeline``          a file for a trace viewer, and a picture (extra ``picture``)
``Tracing``           spans of runs and of their calls (extra ``otel``)
``Metrics``           what runs count, for OpenTelemetry (extra ``otel``)
``PrometheusMetrics`` what runs count, for Prometheus (extra ``prometheus``)
===================== ======================================================================

Each is imported when it is first asked for, and so is what it needs; where that is missing, the
error says what to install.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .metrics import Metrics
    from .picture import draw_timeline
    from .progress import Progress
    from .prometheus import PrometheusMetrics
    from .timeline import Timeline, record_timeline
    from .tqdm_progress import TqdmProgress
    from .tracing import Tracing

__all__ = [
    "Metrics",
    "Progress",
    "PrometheusMetrics",
    "Timeline",
    "TqdmProgress",
    "Tracing",
    "draw_timeline",
    "record_timeline",
]

_LATER = {
    "Metrics": "metrics",
    "Progress": "progress",
    "PrometheusMetrics": "prometheus",
    "Timeline": "timeline",
    "TqdmProgress": "tqdm_progress",
    "Tracing": "tracing",
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
