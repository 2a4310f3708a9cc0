"""
What watches runs: observers that are ready to be attached with :meth:`.Pipeline.with_observer`.

Each is imported when it is first asked for, with the packages that it needs; where one is missing,
the error says what to install.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .metrics import Metrics
    from .prometheus import PrometheusMetrics
    from .tracing import Tracing

__all__ = ["Metrics", "PrometheusMetrics", "Tracing"]

_LATER = {
    "Metrics": "metrics",
    "PrometheusMetrics": "prometheus",
    "Tracing": "tracing",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_LATER[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
