"""The dialects in their order, and a span read by the first that knows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from agl_core.events import SpanRecorded
from agl_core.spans import agentlightning, gen_ai, openinference, openllmetry, own
from agl_core.spans.meaning import SpanDialect, SpanMeaning

__all__ = ["DIALECTS", "meaning", "reading_by", "table"]

# The narrow ones first: most of them have names of `gen_ai` beside their own.
DIALECTS: tuple[SpanDialect, ...] = (own, agentlightning, openinference, openllmetry, gen_ai)
"""In the order they are asked."""


def meaning(span: SpanRecorded, *, dialects: Sequence[SpanDialect] = DIALECTS) -> SpanMeaning:
    """What the span means, in the words of the first dialect that knows it; `other` when none does.

    The agent is the one that the span names, else the one that was under way where it was recorded. Pure: the log
    keeps the span as it came, and a dialect that learns more says more of old spans too. `Plugins.load().dialects()` is
    the table with those of plugins in it.
    """
    found = next((told for dialect in dialects if (told := dialect.read(span)) is not None), None)
    told = SpanMeaning(name=span.name, error=gen_ai.error(span)) if found is None else found
    return replace(told, agent=span.agent) if told.agent is None and span.agent is not None else told


_table: ContextVar[Sequence[SpanDialect]] = ContextVar("table", default=DIALECTS)


def table() -> Sequence[SpanDialect]:
    """The dialects that spans are read by where nobody names others: the core's, but within `reading_by`."""
    return _table.get()


@contextmanager
def reading_by(dialects: Sequence[SpanDialect]) -> Iterator[None]:
    """Here, spans of a trace are read by these: adapters draw the tree of a trace, and are handed no table."""
    token = _table.set(dialects)
    try:
        yield
    finally:
        _table.reset(token)
