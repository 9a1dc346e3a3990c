"""Rewards: facts that train, and spans to whoever reads spans; each counts once, whichever way it came."""

import asyncio
import math

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import agl_core as agl
from agl_core.emit import make_link_attributes
from agl_core.errors import BadValue, OutsideAttempt
from agl_core.events import RewardGiven, SpanRecorded, Target
from agl_core.otel import Processor
from agl_core.spans import rewards

STATED = {
    "agentlightning.reward.0.name": "right",
    "agentlightning.reward.0.value": 1.0,
    "agentlightning.reward.1.name": "short",
    "agentlightning.reward.1.value": 0.25,
}
"""What an agent writes that knows v0.3's words, and not us."""


def returning(result):
    """An agent that returns that."""

    @agl.rollout
    def agent(task):
        return result

    return agent


def test_a_number_is_a_reward_and_a_span(step, spans, reward):
    """Both say the same, and `emit_reward` gives the span back."""
    said = []

    @agl.rollout
    def agent(task):
        said.append(agl.emit_reward(0.5, attributes={"by": {"hand": True}}))

    rollout = step(agent)

    (span,) = spans(rollout)
    assert reward(rollout) == 0.5
    assert (span.name, span.status.status_code) == ("agentlightning.annotation", "OK")
    assert span.attributes == said[0].attributes
    assert span.attributes == {
        "agentlightning.reward.0.name": "primary",
        "agentlightning.reward.0.value": 0.5,
        "by.hand": True,
    }


def test_dimensions_are_one_span_with_the_primary_one_first(step, spans, reward, given):
    """By the names they were given under."""

    @agl.rollout
    def agent(task):
        agl.emit_reward({"short": 0.25, "right": True}, primary_key="right")

    rollout = step(agent)

    (span,) = spans(rollout)
    assert reward(rollout) == 1.0
    assert given(rollout) == [("primary", 1.0), ("short", 0.25)]
    assert [(one.name, one.value) for one in agl.get_rewards_from_span(span)] == [("right", 1.0), ("short", 0.25)]


def test_the_last_reward_is_the_final_one_for_readers_and_for_training(step, spans, reward):
    """Each stands where it was given, among the other spans."""

    @agl.rollout
    def agent(task):
        agl.emit_reward(0.1)
        agl.emit_message("between")
        agl.emit_reward({"primary": 0.7, "x": 9.0})
        agl.emit_message("after")

    rollout = step(agent)

    found = spans(rollout)
    assert [agl.get_reward_value(span) for span in found] == [0.1, None, 0.7, None]
    assert agl.find_final_reward(found) == reward(rollout) == 0.7
    assert [agl.get_reward_value(span) for span in agl.find_reward_spans(found)] == [0.1, 0.7]


def test_pages_of_spans_have_rewards_in_their_places(store, step):
    """Filters, order, totals and offsets know of them."""

    @agl.rollout
    def agent(task):
        for number in range(3):
            agl.emit_message(str(number))
            agl.emit_reward(number)

    rollout = step(agent)

    async def story():
        page = await store.query_spans(rollout.rollout_id, "latest", limit=2, offset=1)
        named = await store.query_spans(rollout.rollout_id, name="agentlightning.annotation")
        newest = await store.query_spans(rollout.rollout_id, sort_order="desc", limit=1)
        return page, named, newest

    page, named, newest = asyncio.run(story())
    assert page.total == 6
    assert [span.name.rpartition(".")[2] for span in page] == ["annotation", "message"]
    assert [agl.get_reward_value(span) for span in named] == [0.0, 1.0, 2.0]
    assert agl.find_final_reward(newest) == 2.0


def test_hooks_find_the_reward_that_was_returned(step):
    """As v0.3's `on_rollout_end` did."""
    heard = []

    class Listens(agl.Hook):
        async def on_rollout_end(self, *, spans, **_):
            heard.append((agl.find_final_reward(spans), [type(span) for span in spans]))

    step(returning(0.75), hooks=[Listens()])

    assert heard == [(0.75, [agl.Span])]


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None, [1.0], {}, {"a": 1.0, "b": 2.0}, {"a": "x"}])
def test_what_is_no_reward_is_refused(step, value, given):
    """Before anything of it is written."""
    refused = []

    @agl.rollout
    def agent(task):
        with pytest.raises(BadValue) as raised:
            agl.emit_reward(value)
        refused.append(raised.value.code)

    rollout = step(agent)

    assert refused == ["BAD_VALUE"]
    assert given(rollout) == []


@pytest.mark.parametrize(
    ("reward", "primary_key", "cure"),
    [
        ({"a": 1.0, "b": 2.0}, None, "call it `primary`.* one of a, b"),
        ({"a": 1.0, "b": 2.0}, "c", "name one of a, b"),
        ({}, None, "at least one"),
        ({1: 1.0, "a": 2.0}, "a", "1 is none"),
        (1.0, "a", "dict of rewards"),
    ],
)
def test_a_dict_that_does_not_say_which_trains_gets_the_cure(reward, primary_key, cure):
    """Also where it was returned, and there is no `primary_key` to give."""
    with pytest.raises(BadValue, match=cure):
        agl.emit_reward(reward, primary_key=primary_key, propagate=False)


def test_a_primary_key_that_contradicts_the_names_is_refused():
    """One of them is called `primary`, and another is said to be it."""
    with pytest.raises(BadValue, match="called `primary`"):
        agl.emit_reward({"primary": 1.0, "other": 0.0}, primary_key="other", propagate=False)


def test_numbers_of_other_libraries_are_numbers(step, reward):
    """NumPy's and a tensor's are no `float`, and know how to become one."""

    class Single:
        def __float__(self) -> float:
            return 0.25

    assert reward(step(returning(Single()))) == 0.25


def test_a_reward_outside_an_attempt_is_refused_unless_it_stays():
    """Without `propagate` the span is made, and goes nowhere."""
    with pytest.raises(OutsideAttempt):
        agl.emit_reward(1.0)

    assert agl.get_reward_value(agl.emit_reward(1.0, propagate=False)) == 1.0


def test_a_reward_of_a_step_is_no_reward_of_the_rollout(store, step, reward):
    """By `target`, or by a link to the span; a link by anything else names no step, and the rollout has it."""

    @agl.rollout
    def agent(task):
        agl.emit_reward(0.1, attributes=make_link_attributes({"gen_ai.response.id": "r-1"}))
        agl.emit_reward(0.2, target=Target(kind="call", id="ca-1"))
        agl.emit_reward(0.3, attributes=make_link_attributes({"span_id": "sp-1"}))

    rollout = step(agent)

    rewards = [one.given for one in store.ask.traces([rollout.rollout_id])[0].rewards]
    assert [one.target.kind for one in rewards] == ["rollout", "call", "span"]
    assert rewards[2].target.id == "sp-1"
    assert reward(rollout) == 0.1


class TestGivenAsSpans:
    """Agents that write v0.3's shapes themselves."""

    def test_a_returned_span_counts_once(self, step, spans, reward, given):
        """Its attributes stay as they came."""

        @agl.rollout
        def agent(task):
            return [agl.SpanCoreFields(name="agentlightning.annotation", attributes={**STATED, "beside": 1})]

        rollout = step(agent)

        (span,) = spans(rollout)
        assert span.attributes == {**STATED, "beside": 1}
        assert given(rollout) == [("primary", 1.0), ("short", 0.25)]
        assert reward(rollout) == 1.0

    def test_a_span_that_was_built_and_returned_counts_once(self, step, spans, reward):
        """`propagate=False` is how v0.3's agents do it."""
        rollout = step(returning([agl.emit_reward(0.5, propagate=False)]))

        assert agl.find_final_reward(spans(rollout)) == reward(rollout) == 0.5
        assert len(spans(rollout)) == 1

    def test_a_host_s_span_counts_once_also_when_it_is_returned_too(self, step, spans, reward, given):
        """Through a provider of its own, and by hand."""
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(Processor())
        provider.add_span_processor(SimpleSpanProcessor(exporter))

        @agl.rollout
        def agent(task):
            with provider.get_tracer("host").start_as_current_span("agentlightning.annotation", attributes=STATED):
                pass
            return list(exporter.get_finished_spans())

        rollout = step(agent)

        assert given(rollout) == [("primary", 1.0), ("short", 0.25)]
        assert reward(rollout) == 1.0
        assert len(spans(rollout)) == 1

    def test_a_span_of_the_store_counts_once(self, store, given):
        """Added alone, in bulk, and again."""

        async def story():
            taken = await store.start_rollout({"n": 1})
            span = SpanRecorded(
                rollout_id=taken.rollout_id, attempt_id=taken.attempt_id, span_id="sp-1", name="any", started_at=1,
                ended_at=2, attributes=STATED,
            )  # fmt: skip
            await store.add_span(span)
            assert list(await store.add_many_spans([span, span])) == []
            await store.finish_attempt(taken.attempt, "completed")
            return taken

        rollout = asyncio.run(story())

        assert given(rollout) == [("primary", 1.0), ("short", 0.25)]

    def test_an_annotation_that_states_a_reward_is_one(self, step, reward, spans):
        """Nested, as v0.3 took it."""

        @agl.rollout
        def agent(task):
            agl.emit_annotation({"agentlightning.reward": [{"name": "primary", "value": 0.5}]})

        rollout = step(agent)

        assert reward(rollout) == 0.5
        assert len(spans(rollout)) == 1

    @pytest.mark.parametrize("name", ["agentops.task.output", "agentops.entity.output"])
    def test_v02_s_payload_counts(self, step, reward, name):
        """AgentOps kept a reward in the output of a task."""
        span = agl.SpanCoreFields(name="reward", attributes={name: '{"type": "reward", "value": 0.5}'})

        assert reward(step(returning([span]))) == 0.5

    def test_no_other_dimension_takes_the_place_of_a_primary_one_that_is_no_number(self, step, reward, given):
        """A wrong reward would be worse than none."""
        odd = {**STATED, "agentlightning.reward.0.value": "nan"}
        rollout = step(returning([agl.SpanCoreFields(name="a", attributes=odd)]))

        assert reward(rollout) is None
        assert given(rollout) == [("short", 0.25)]

    def test_a_later_dimension_called_primary_is_not_the_one_that_trains(self, step, reward, given):
        """The place counts, as in v0.3."""
        odd = {**STATED, "agentlightning.reward.1.name": "primary"}
        rollout = step(returning([agl.SpanCoreFields(name="a", attributes=odd)]))

        assert reward(rollout) == 1.0
        assert given(rollout) == [("primary", 1.0)]

    def test_what_comes_after_the_lease_was_lost_does_not_count(self, store):
        """It is kept, like any span that is late."""

        async def story():
            taken = await store.start_rollout({"n": 1})
            await store.update_attempt(taken.rollout_id, taken.attempt_id, status="unresponsive")
            span = SpanRecorded(
                rollout_id=taken.rollout_id, attempt_id=taken.attempt_id, span_id="sp-1", name="any", started_at=1,
                ended_at=2, attributes=STATED,
            )  # fmt: skip
            return taken, await store.add_span(span)

        taken, kept = asyncio.run(story())

        assert kept is not None
        (outcome,) = store.ask.outcomes([taken.rollout_id])
        assert outcome.reward is None


def test_readers_take_spans_of_any_kind():
    """Ours, OpenTelemetry's, and the fact itself."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("host").start_as_current_span("agentlightning.annotation", attributes=STATED):
        pass
    fact = RewardGiven(rollout_id="ro-1", target=Target(kind="rollout", id="ro-1"), value=1.0, judge="agent")

    for span in (*exporter.get_finished_spans(), fact, agl.SpanCoreFields(name="a", attributes=STATED)):
        assert agl.is_reward_span(span)
        assert agl.get_reward_value(span) == agl.find_final_reward([span]) == 1.0


def test_what_begins_like_a_reward_breaks_no_reader():
    """v0.3 raised at `agentlightning.reward_model`, and at a reward without a name."""
    model = agl.SpanCoreFields(name="a", attributes={"agentlightning.reward_model": "m"})
    nameless = agl.SpanCoreFields(name="a", attributes={"agentlightning.reward.0.value": 0.5})

    assert not agl.is_reward_span(model)
    assert agl.get_rewards_from_span(model) == []
    assert agl.get_reward_value(nameless) == 0.5
    assert agl.find_final_reward([]) is None


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["0", "1", "name", "value"]), inner),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        *STATED,
        "agentlightning.reward",
        "agentlightning.reward.x",
        "agentlightning.reward.2.value",
        "agentlightning.reward_model",
        "agentlightning.link.0.key_match",
        "agentlightning.link.0.value_match",
        "agentops.task.output",
    ]
)


@drawn(st.dictionaries(NAMES, ODD | st.just('{"type": "reward", "value": 1e999}')))
def test_whatever_a_span_says_its_rewards_are_finite_and_each_has_a_name(attributes):
    """The door never raises, and no two rewards of a span are kept under one key."""
    span = SpanRecorded(
        rollout_id="ro-1", attempt_id="at-1", span_id="sp-1", name="a", attributes=attributes, started_at=1, ended_at=2
    )

    stated = rewards.stated(span)

    assert all(math.isfinite(reward.value) for reward in stated)
    assert len({rewards.key(span, reward) for reward in stated}) == len(stated)
    assert sum(reward.name == "primary" for reward in stated) == int(agl.is_reward_span(span))
