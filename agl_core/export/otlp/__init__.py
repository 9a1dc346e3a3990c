"""Runs as OpenTelemetry traces, for whichever tool shows such: one trace an attempt, the same ids each time."""

from __future__ import annotations

from agl_core.export.otlp._places import PRESETS, Place, place
from agl_core.export.otlp._sending import Sent, send
from agl_core.export.otlp._spans import Told, told

__all__ = ["PRESETS", "Place", "Sent", "Told", "place", "send", "told"]
