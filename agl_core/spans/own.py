"""AGL's own: OpenTelemetry's names for what it has names for, and `agl.span.kind` for what the span is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

from agl_core.events import SpanRecorded
from agl_core.spans import gen_ai
from agl_core.spans._attributes import text
from agl_core.spans.meaning import Kind, SpanMeaning

__all__ = ["NAME", "read"]

NAME = "agl"

_KINDS: Mapping[str, Kind] = {kind: kind for kind in get_args(Kind)}


def read(span: SpanRecorded) -> SpanMeaning | None:
    """A span that says its `agl.span.kind`, in a word that we know."""
    kind = _KINDS.get(text(span.attributes, "agl.span.kind") or "")
    if kind is None:
        return None
    return replace(
        gen_ai.said(span), kind=kind, dialect=NAME, handed_to=text(span.attributes, "agl.handoff.agent.name")
    )
