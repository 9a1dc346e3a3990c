"""A host's exporter keeps what names an attempt, and nothing of what is the host's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, SpanContext, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import agl_core as agl
from agl_core.events import Event, SpanRecorded
from agl_core.otel import Exporter
from agl_core.recorder import Recorder, Scope, attributed
from agl_core.spans.context import traceparent
from agl_core.store import AttemptedRollout, Store

ROLLOUT, ATTEMPT = "agentlightning.rollout_id", "agentlightning.attempt_id"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Of a log in a file."""
    found = agl.open_store(str(tmp_path / "log.db"))
    yield found
    found.close()
    found.log.close()


@pytest.fixture
def attempt(store: Store) -> AttemptedRollout:
    """One under way."""
    return asyncio.run(store.start_rollout({"q": 1}))


def batched(store: Store, resource: dict[str, str] | None = None) -> TracerProvider:
    """A host's provider, which exports in a thread of its own."""
    provider = TracerProvider(resource=Resource(resource or {}))
    provider.add_span_processor(BatchSpanProcessor(Exporter(store)))
    return provider


def facts(store: Store, *types: str) -> list[Event]:
    """In the log."""
    return [record.event for record in store.log.read(types=types or ["span.recorded", "span.unassigned"])]


@pytest.mark.parametrize("way", ["span", "resource", "rollout alone", "trace"])
def test_a_span_in_a_batch_finds_its_attempt(store: Store, attempt: AttemptedRollout, way: str):
    """By what it says itself: its thread knows nothing."""
    ids = {ROLLOUT: attempt.rollout_id, ATTEMPT: attempt.attempt_id}
    provider = batched(store, ids if way == "resource" else None)
    said: Any = {"span": ids, "rollout alone": {ROLLOUT: attempt.rollout_id}}.get(way)
    carried = {"traceparent": traceparent(attempt.attempt_id)} if way == "trace" else {}
    around = TraceContextTextMapPropagator().extract(carried)

    provider.get_tracer("host").start_span("work", context=around, attributes=said).end()
    provider.shutdown()

    (span,) = facts(store)
    assert isinstance(span, SpanRecorded)
    assert (span.rollout_id, span.attempt_id, span.parent_id) == (attempt.rollout_id, attempt.attempt_id, None)


def test_a_span_is_kept_with_all_it_has(store: Store, attempt: AttemptedRollout):
    """Who sent it, what made it, and what it is linked to."""
    provider = batched(store, {"service.name": "shop", ATTEMPT: attempt.attempt_id})
    other = SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(1))

    provider.get_tracer("host", "1.0").start_span("work", links=[Link(other, {"why": "retry"})]).end()
    provider.shutdown()

    (span,) = facts(store)
    assert isinstance(span, SpanRecorded)
    assert span.resource["service.name"] == "shop"
    assert span.scope == {"name": "host", "version": "1.0"}
    assert span.links == ({"trace_id": f"{5:032x}", "span_id": f"{6:016x}", "attributes": {"why": "retry"}},)


def test_a_span_of_the_host_is_left_alone(store: Store, attempt: AttemptedRollout):
    """It names nobody, and belongs to nobody here."""
    provider = batched(store)

    provider.get_tracer("host").start_span("the host's own").end()
    provider.shutdown()

    assert facts(store) == []


@pytest.mark.parametrize("said", [{ATTEMPT: "at-9"}, {ROLLOUT: "ro-9"}], ids=["attempt", "rollout"])
def test_a_span_that_names_somebody_unknown_is_kept_apart(store: Store, said: dict[str, str]):
    """It was meant for an attempt, so it is not thrown away."""
    provider = batched(store, said)

    provider.get_tracer("host").start_span("work").end()
    provider.shutdown()

    (stray,) = facts(store, "span.unassigned")
    assert "9" in stray.why


def test_a_span_that_is_exported_where_it_ends_belongs_to_who_is_at_work(store: Store, attempt: AttemptedRollout):
    """As the processor has it."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Exporter(store.log)))
    scope = Scope(
        recorder=Recorder(store.log), run_id=None, rollout_id=attempt.rollout_id, attempt_id=attempt.attempt_id
    )

    with attributed(scope):
        provider.get_tracer("host").start_span("work").end()

    assert [span.attempt_id for span in facts(store, "span.recorded")] == [attempt.attempt_id]


def test_an_export_that_comes_twice_is_kept_once(store: Store, attempt: AttemptedRollout):
    """A host may try again."""
    seen: list[Any] = []

    class Twice(Exporter):
        def export(self, spans: Any) -> SpanExportResult:
            seen.append(super().export(spans))
            return super().export(spans)

    provider = TracerProvider(resource=Resource({ATTEMPT: attempt.attempt_id}))
    provider.add_span_processor(SimpleSpanProcessor(Twice(store)))

    provider.get_tracer("host").start_span("work").end()

    assert seen == [SpanExportResult.SUCCESS]
    assert len(facts(store)) == 1


class OneSpanId(RandomIdGenerator):
    """Random traces, in which every span has the same id."""

    def generate_span_id(self) -> int:
        """Seven."""
        return 7


def test_a_span_of_another_trace_that_has_the_same_id_is_kept_apart(store: Store, attempt: AttemptedRollout):
    """Ids are random only where somebody takes care; in one batch, and in two."""
    said = Resource({ATTEMPT: attempt.attempt_id})
    for _ in range(2):
        provider = TracerProvider(resource=said, id_generator=OneSpanId())
        provider.add_span_processor(BatchSpanProcessor(Exporter(store)))
        for _ in range(2):
            provider.get_tracer("host").start_span("work").end()
        provider.shutdown()

    assert [span.span_id for span in facts(store, "span.recorded")] == [f"{7:016x}"]
    apart = facts(store, "span.unassigned")
    assert len({span.trace_id for span in apart}) == len(apart) == 3
    assert "in another trace" in apart[0].why


def test_a_log_that_is_closed_fails_the_export_and_not_the_host(tmp_path: Path):
    """It says so to the SDK, which may try again."""
    log = agl.open_log(str(tmp_path / "log.db"))
    exporter = Exporter(log)
    log.close()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    span = provider.get_tracer("host").start_span("work")
    span.end()

    assert exporter.export([span]) == SpanExportResult.FAILURE
