"""The OpenTelemetry bridge: spans of a host's own provider, kept with the attempt under way.

The host adds `Processor()` to its TracerProvider, or exports through `Exporter(log)`; we never set the global provider,
and spans that are no attempt's are left to the host's other processors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agl_core.otel._token import token

if TYPE_CHECKING:
    from agl_core.otel._exporter import Exporter
    from agl_core.otel._processor import Processor, recorded

__all__ = ["Exporter", "Processor", "recorded", "token"]


def __getattr__(name: str) -> Any:
    """What needs OpenTelemetry's SDK is imported when it is asked for: the gateway reads OTLP without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from agl_core.otel import _exporter, _processor

    return getattr(_exporter if name == "Exporter" else _processor, name)
