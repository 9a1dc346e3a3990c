"""Spans are kept once, numbered in their rollout, and read back in Agent Lightning's shape."""

import asyncio

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agl_core.errors import BadValue, UnknownId
from agl_core.events import SpanRecorded
from agl_core.log import SqliteLog, verify
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.store import Span, Store, TraceStatus

pytestmark = pytest.mark.anyio


@pytest.fixture
async def one(store):
    """A rollout under way."""
    return await store.start_rollout({"q": 1})


def span(taken, span_id, **fields):
    """A span of an attempt."""
    ids = {"rollout_id": taken.rollout_id, "attempt_id": taken.attempt_id, "span_id": span_id, "name": "tool"}
    return SpanRecorded(**{**ids, "started_at": 1_500_000_000, "ended_at": 2_000_000_000, **fields})


async def test_a_span_is_read_as_it_was_kept(store, one):
    """Seconds, a status with its description, and a number."""
    kept = await store.add_span(
        span(one, "sp-1", status="error", status_message="no", attributes={"k": [1, 2]}, parent_id="sp-0", agent="a")
    )

    (found,) = await store.query_spans(one.rollout_id)

    assert found == kept
    assert found.status == TraceStatus(status_code="ERROR", description="no")
    assert (found.start_time, found.end_time, found.sequence_id) == (1.5, 2.0, 1)
    assert (found.attributes, found.parent_id, found.agent) == ({"k": [1, 2]}, "sp-0", "a")


async def test_a_span_that_was_read_can_be_kept_elsewhere(store, one):
    """What is read has all that is needed to write it."""
    there = await store.start_rollout({"q": 2})
    kept = await store.add_span(span(one, "sp-1", attributes={"k": 1}))

    copied = await store.add_span(
        Span(
            rollout_id=there.rollout_id, attempt_id=there.attempt_id, span_id="sp-1", name=kept.name,
            attributes=kept.attributes, start_time=kept.start_time, end_time=kept.end_time,
        )
    )  # fmt: skip

    assert (copied.attributes, copied.start_time, copied.sequence_id) == ({"k": 1}, 1.5, 1)
    with pytest.raises(BadValue):
        await store.add_span(Span(**{**_fields(kept), "start_time": float("nan"), "span_id": "sp-2"}))


def _fields(kept):
    return {name: getattr(kept, name) for name in ("rollout_id", "attempt_id", "name", "end_time")}


async def test_many_are_kept_in_one_transaction(store, log, one):
    """Those that are new come back; one of nobody's refuses them all."""
    await store.add_span(span(one, "sp-1"))
    head = log.head()

    new = await store.add_many_spans([span(one, "sp-1"), span(one, "sp-2"), span(one, "sp-2"), span(one, "sp-3")])
    with pytest.raises(UnknownId):
        await store.add_many_spans([span(one, "sp-4"), span(one, "sp-5", attempt_id="at-none")])

    assert [each.span_id for each in new] == ["sp-2", "sp-3"]
    assert log.head() == head + 2
    assert await store.add_many_spans([]) == []


async def test_the_first_of_a_span_stays(store, one):
    """Whatever the second says."""
    await store.add_span(span(one, "sp-1", name="first"))

    again = await store.add_span(span(one, "sp-1", name="second"))

    assert again is None
    assert [each.name for each in await store.query_spans(one.rollout_id)] == ["first"]


async def test_a_span_moves_its_attempt_to_running(store, one):
    """It is a sign of work."""
    await store.add_span(span(one, "sp-1"))

    assert (await store.get_rollout_by_id(one.rollout_id)).status == "running"


# --- numbers


async def test_numbers_rise_in_a_rollout(store, one):
    """From 1, shared by its attempts, whoever asks."""
    two = await store.start_rollout({"q": 2})
    pairs = [(each.rollout_id, each.attempt_id) for each in (one, two, one, one)]

    many = await store.get_many_span_sequence_ids(pairs)
    asked = await asyncio.gather(*(store.get_next_span_sequence_id(*pairs[0]) for _ in range(20)))
    retried = await store.start_attempt(one.rollout_id)

    assert many == [1, 1, 2, 3]
    assert sorted(asked) == list(range(4, 24))
    assert await store.get_next_span_sequence_id(one.rollout_id, retried.attempt_id) == 24


async def test_a_number_is_never_given_out_twice(store, log, one, clock):
    """Not after a restart, not after a span came with a higher one, not when nobody used it."""
    pair = (one.rollout_id, one.attempt_id)
    unused = await store.get_next_span_sequence_id(*pair)
    await store.add_span(span(one, "sp-1", sequence_id=7))
    after = await store.get_next_span_sequence_id(*pair)
    numbered = await store.add_span(span(one, "sp-2"))
    with SqliteLog(log.path, projections=CORE, clock=clock) as again:
        reopened = Store(again, clock=clock)
        later = await reopened.get_next_span_sequence_id(*pair)
        reopened.close()

    assert [unused, after, numbered.sequence_id, later] == [1, 8, 9, 10]


async def test_a_number_may_be_used_by_several(store, one):
    """As in Agent Lightning, for the spans of one request; they stay in the order they came in."""
    number = await store.get_next_span_sequence_id(one.rollout_id, one.attempt_id)

    await store.add_many_spans([span(one, f"sp-{n}", sequence_id=number) for n in (2, 1)])

    assert [each.span_id for each in await store.query_spans(one.rollout_id)] == ["sp-2", "sp-1"]


async def test_numbers_of_nobody_are_refused(store, log, one):
    """Unknown rollouts, unknown attempts; and nothing is counted."""
    for pair in (("ro-none", "at-none"), (one.rollout_id, "at-none")):
        with pytest.raises(UnknownId):
            await store.get_many_span_sequence_ids([(one.rollout_id, one.attempt_id), pair])

    assert await store.get_next_span_sequence_id(one.rollout_id, one.attempt_id) == 1


async def test_spans_that_came_past_the_store_are_numbered_too(store, log, one):
    """Tracers write to the log; the table that folds from it counts on."""
    for n in range(3):
        log.append([Draft(stream=f"rollout/{one.rollout_id}", event=span(one, f"sp-{n}"))])

    found = await store.query_spans(one.rollout_id)

    assert [each.sequence_id for each in found] == [1, 2, 3]
    assert await store.get_next_span_sequence_id(one.rollout_id, one.attempt_id) == 4
    assert list(verify(log)) == []


# --- OpenTelemetry


async def test_a_span_of_opentelemetry_is_kept(store, one):
    """As the tracer has it, under a number of its own or the one it is given."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("host").start_as_current_span("outer", attributes={"sizes": (1, 2)}):
        provider.get_tracer("host").start_span("inner").end()
    inner, outer = exporter.get_finished_spans()

    first = await store.add_otel_span(one.rollout_id, one.attempt_id, outer, sequence_id=5)
    second = await store.add_otel_span(one.rollout_id, one.attempt_id, inner)
    again = await store.add_otel_span(one.rollout_id, one.attempt_id, inner)

    assert (first.name, first.sequence_id, first.attributes) == ("outer", 5, {"sizes": [1, 2]})
    assert (second.sequence_id, second.parent_id, again) == (6, first.span_id, None)
    assert first.span_id == f"{outer.get_span_context().span_id:016x}"
