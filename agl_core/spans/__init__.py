"""What spans mean, whoever wrote them: a dialect a module, one canonical form, derived on read."""

from __future__ import annotations

from agl_core.spans._otel import from_otel
from agl_core.spans._plain import plain
from agl_core.spans._table import DIALECTS, meaning, reading_by, table
from agl_core.spans.meaning import Kind, Score, SpanDialect, SpanMeaning

__all__ = [
    "DIALECTS",
    "Kind",
    "Score",
    "SpanDialect",
    "SpanMeaning",
    "from_otel",
    "meaning",
    "plain",
    "reading_by",
    "table",
]
