"""OTLP as it comes over HTTP: the same spans and scores, whether they were written in protobuf or in JSON."""

from __future__ import annotations

from agl_core.spans.otlp._json import json_logs, json_traces
from agl_core.spans.otlp._protobuf import protobuf_logs, protobuf_traces
from agl_core.spans.otlp._values import Malformed, Sent, SentLog, SentSpan

__all__ = [
    "Malformed",
    "Sent",
    "SentLog",
    "SentSpan",
    "json_logs",
    "json_traces",
    "protobuf_logs",
    "protobuf_traces",
]
