"""What an agent may return, sync and async, and what it may not."""

import asyncio
import logging

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import agl_core as agl
from agl_core.errors import BadValue
from agl_core.events import SpanRecorded


def otel_spans(*names):
    """Spans of OpenTelemetry that have ended."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for name in names:
        with provider.get_tracer("host").start_as_current_span(name):
            pass
    return list(exporter.get_finished_spans())


def agents(result):
    """Agents of both kinds that return it."""

    @agl.rollout
    def plain(task):
        return result

    @agl.rollout
    async def awaited(task):
        return result

    class Classy(agl.LitAgent):
        def rollout(self, task, resources, rollout):
            return result

    class ClassyAsync(agl.LitAgent):
        async def rollout_async(self, task, resources, rollout):
            return result

    return plain, awaited, Classy(), ClassyAsync()


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, []),
        (0.5, [("primary", 0.5)]),
        (1, [("primary", 1.0)]),
        (True, [("primary", 1.0)]),
        ({"right": 1.0}, [("primary", 1.0)]),
        ({"primary": 1.0, "short": 0.5}, [("primary", 1.0), ("short", 0.5)]),
    ],
)
def test_numbers_and_dicts_are_rewards(step, given, result, expected):
    """The only one of a dict trains, or the one called `primary`."""
    for agent in agents(result):
        assert given(step(agent)) == expected


def test_spans_of_every_kind_are_kept(step, spans):
    """In the attempt that returned them, each with an id of its own."""
    core = agl.SpanCoreFields(name="core", attributes={"a": 1}, start_time=1.0, end_time=2.0)
    own = agl.Span(rollout_id="", attempt_id="", span_id="sp-1", name="own", start_time=1.0, end_time=2.0)
    fact = SpanRecorded(rollout_id="", attempt_id="", span_id="sp-2", name="fact", started_at=1, ended_at=2)

    for agent in agents([core, own, fact, *otel_spans("theirs")]):
        found = spans(step(agent))
        assert [span.name for span in found] == ["core", "own", "fact", "theirs"]
        assert len({span.span_id for span in found}) == 4
        assert (found[0].start_time, found[0].end_time) == (1.0, 2.0)


def test_an_empty_list_is_warned_of(step, spans, caplog):
    """It is allowed, and rarely meant."""
    with caplog.at_level(logging.WARNING, logger="agl_core"):
        rollout = step(agents([])[0])

    assert rollout.status == "succeeded"
    assert spans(rollout) == []
    assert "empty list" in caplog.text


class Anything:
    """Nothing an agent may return."""


@pytest.mark.parametrize(
    "result",
    ["0.5", Anything(), {1, 2}, [0.5], [agl.SpanCoreFields(name="a"), "b"], {"a": 1.0, "b": 2.0}, {}, float("nan")],
)
def test_anything_else_fails_the_attempt_with_a_code(store, step, spans, result):
    """And nothing of it is kept."""
    for agent in agents(result):
        with pytest.raises(BadValue):
            step(agent)

    rollouts = store.ask.rollouts()
    assert {(rollout.status, rollout.exit_status) for rollout in rollouts} == {("failed", "agent_raised")}
    assert {rollout.attempt.error[:11] for rollout in rollouts} == {"[BAD_VALUE]"}
    assert [spans(rollout) for rollout in rollouts] == [[]] * len(rollouts)


def test_a_span_of_another_attempt_is_refused(step):
    """It would count where it does not belong."""
    span = agl.Span(rollout_id="ro-9", attempt_id="at-9", span_id="sp-1", name="own", start_time=1.0, end_time=2.0)

    with pytest.raises(BadValue, match=r"store\.add_span"):
        step(agents([span])[0])


def test_a_plain_function_that_returns_what_is_to_be_awaited_is_told_so(step):
    """Nothing is left behind that nobody awaited."""

    async def later():
        return 1.0

    @agl.rollout
    def agent(task):
        return later()

    with pytest.raises(BadValue, match="async def"):
        step(agent)


@pytest.mark.parametrize("mode", ["train", "val", "test", None])
def test_the_mode_chooses_the_method(step, reward, mode):
    """`train` the training variant; every other, and none, the validation variant."""

    class Plain(agl.LitAgent):
        def training_rollout(self, task, resources, rollout):
            return 1.0

        def validation_rollout(self, task, resources, rollout):
            return 0.0

    class Async(agl.LitAgent):
        async def training_rollout_async(self, task, resources, rollout):
            await asyncio.sleep(0)
            return 1.0

        async def validation_rollout_async(self, task, resources, rollout):
            return 0.0

    for agent in (Plain(), Async()):
        assert reward(step(agent, mode=mode)) == float(mode == "train")
