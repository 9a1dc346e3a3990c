"""The adapter that an algorithm of v0.3's kind is handed: what was given, or the one that v0.3 would hand it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agl_core.plugins import Plugins
from agl_core.trainer._components import build_component

__all__ = ["adapter_component", "usual_adapter"]

_V03 = "tracer-triplets"


def adapter_component(spec: Any, plugins: Plugins) -> Any:
    """The adapter that `spec` means; as in v0.3, a dict that names none has arguments of `TracerTraceToTriplet`."""
    if isinstance(spec, Mapping) and spec.keys().isdisjoint({"type", "name"}):
        spec = {"name": _V03, **spec}
    return build_component(spec, kind="adapter", find=plugins.adapter)


def usual_adapter(plugins: Plugins) -> Any:
    """What it is when nobody says: as in v0.3, `TracerTraceToTriplet`, where that is installed."""
    return adapter_component({}, plugins) if _V03 in plugins.adapters() else None
