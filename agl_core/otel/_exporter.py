"""Spans as a host's own exporter: whole batches, put down to the attempts they name."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from agl_core.errors import BadValue, OutsideAttempt
from agl_core.events import SpanRecorded, SpanUnassigned
from agl_core.log import Owner, SqliteLog, View
from agl_core.record import Draft
from agl_core.recorder import Scope, current
from agl_core.spans import from_otel
from agl_core.spans.context import attempt_of, root_of, said_attempt
from agl_core.store import Store, spans_taken_in, unassigned

__all__ = ["Exporter"]

_log = logging.getLogger(__name__)


class Exporter(SpanExporter):
    """Keeps the spans that belong to attempts of a log; for a host that exports them in batches, in any thread.

    A span is put down to the attempt that it, or its resource, names; else to the one its trace was issued for; else
    to the one in whose context it is exported. One that names an attempt the log has not, or that has the id of a span
    of another trace there, is kept apart, as `span.unassigned`. Any other is the host's own business, and left alone.
    Never raises into the host's code.
    """

    def __init__(self, log: SqliteLog | Store) -> None:
        self._log = log.log if isinstance(log, Store) else log
        self._owner = Owner.me()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Success once they are durable; each is kept once, however often it is exported."""
        try:
            here = self._here()
            found = [told for span in spans if (told := _told(span)) is not None]
            self._log.submit(lambda view: self._decided(view, found, here)).result()
        except Exception as error:  # noqa: BLE001 - the rim: the host works on, whatever becomes of its spans
            # Only what kind of error: its message may quote what the agent said.
            _log.warning("%d spans of a host could not be kept (%s)", len(spans), type(error).__name__)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def _here(self) -> Scope | None:
        try:
            scope = current("a span")
        except OutsideAttempt:
            return None
        return scope if scope.recorder.url == self._log.url else None

    def _decided(self, view: View, spans: Sequence[SpanRecorded], here: Scope | None) -> list[Draft]:
        kept: list[SpanRecorded] = []
        strays: list[SpanUnassigned] = []
        for span in spans:
            rollout_id, attempt_id = _named(view, span, here)
            if attempt_id is None:
                continue
            rows = view.rows("select rollout_id from attempts where attempt_id = ?", (attempt_id,))
            if rows and rollout_id in (None, rows[0][0]):
                parent = span.parent_id if span.parent_id != root_of(attempt_id) else None
                kept.append(replace(span, rollout_id=rows[0][0], attempt_id=attempt_id, parent_id=parent))
                continue
            why = f"it names {(attempt_id or str(rollout_id))[:80]!r}, of which this log has no attempt"
            strays.append(unassigned(span, why))
        return spans_taken_in(view, kept, strays, self._owner)


def _told(span: ReadableSpan) -> SpanRecorded | None:
    try:
        return from_otel(span, rollout_id="", attempt_id="")
    except BadValue:
        return None


def _named(view: View, span: SpanRecorded, here: Scope | None) -> tuple[str | None, str | None]:
    """Rollout and attempt, by the first way that says so; no attempt where none does."""
    for said in (said_attempt(span.attributes), said_attempt(span.resource)):
        match said:
            case (str() as rollout_id, None):
                rows = view.rows("select attempt_id from rollouts where rollout_id = ?", (rollout_id,))
                return rollout_id, (rows[0][0] if rows else None) or ""
            case (_, str()):
                return said
    issued = attempt_of(span.trace_id) if span.trace_id else None
    if issued and view.rows("select 1 from attempts where attempt_id = ?", (issued,)):
        return None, issued
    return (here.rollout_id, here.attempt_id) if here else (None, None)
