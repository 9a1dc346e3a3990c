"""A host's spans are kept with the attempt they end in, and its own telemetry stays what it was."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import agl_core as agl
from agl_core.log import SqliteLog
from agl_core.otel import Processor
from agl_core.projections import CORE
from agl_core.runner import Runner
from agl_core.store import Store


def provider(*processors) -> TracerProvider:
    """A host's provider; never the global one."""
    made = TracerProvider()
    for processor in processors:
        made.add_span_processor(processor)
    return made


def test_spans_of_an_attempt_are_kept_as_they_came():
    """Names, parents, attributes, events and failures."""
    tracer = provider(Processor()).get_tracer("host")

    @agl.rollout
    async def agent(task) -> None:
        with tracer.start_as_current_span("outer", attributes={"gen_ai.system": "x", "sizes": (1, 2)}) as outer:
            outer.add_event("seen", {"n": 1})
            with pytest.raises(ValueError, match="bad"), tracer.start_as_current_span("inner"):
                raise ValueError("bad")

    async def story(store: Store) -> None:
        runner = Runner()
        with runner.run_context(agent=agent, store=store):
            await runner.step({"q": 1})

    with SqliteLog(":memory:", projections=CORE) as log:
        store = Store(log)
        asyncio.run(story(store))
        (trace,) = store.ask.traces([rollout.rollout_id for rollout in store.ask.rollouts()])
        store.close()

    inner, outer = trace.spans
    assert (outer.name, inner.name, inner.parent_id) == ("outer", "inner", outer.span_id)
    assert outer.attributes == {"gen_ai.system": "x", "sizes": [1, 2]}
    assert outer.events[0]["name"] == "seen"
    assert (inner.status, outer.status) == ("error", "unset")


def test_a_host_exports_the_same_spans_with_us_and_without():
    """Outside an attempt, too: we only listen."""
    exported = []
    for ours in ([], [Processor()]):
        exporter = InMemorySpanExporter()
        with provider(*ours, SimpleSpanProcessor(exporter)).get_tracer("host").start_as_current_span("work"):
            pass
        exported.append([span.name for span in exporter.get_finished_spans()])

    assert exported == [["work"], ["work"]]


class Stranger(str):
    """A library's own kind of text, as smolagents has one."""

    __slots__ = ()

    def __str__(self) -> str:
        return "what the stranger says"


def test_a_value_that_json_has_no_word_for_is_kept_as_text():
    """A library may put anything into its spans; OpenTelemetry lets it through."""
    tracer = provider(Processor()).get_tracer("host")

    @agl.rollout
    async def agent(task) -> None:
        with tracer.start_as_current_span("odd") as span:
            span.set_attribute("stranger", Stranger("x"))
            span.set_attribute("endless", float("inf"))

    async def story(store: Store) -> None:
        runner = Runner()
        with runner.run_context(agent=agent, store=store):
            await runner.step({"q": 1})

    with SqliteLog(":memory:", projections=CORE) as log:
        store = Store(log)
        asyncio.run(story(store))
        (trace,) = store.ask.traces([rollout.rollout_id for rollout in store.ask.rollouts()])
        store.close()

    assert trace.exit_status == "completed"
    assert trace.spans[0].attributes == {"stranger": "what the stranger says", "endless": "inf"}
