"""Bad input is refused at the door, with a code, and nothing of it is written."""

import asyncio

import pytest

from agl_core.errors import AglError, BadPayload, BadValue, KeyReused, UnknownId
from agl_core.events import CallRecorded, ModelCall, RolloutConfig, SpanRecorded, Target
from agl_core.record import Draft
from agl_core.recorder import Recorder, Scope
from agl_core.resources import LLM, PromptTemplate, Resource
from agl_core.store import EnqueueRolloutRequest

pytestmark = pytest.mark.anyio


def span(**fields):
    """A span of nobody's, unless said otherwise."""
    known = {"rollout_id": "ro-none", "attempt_id": "at-none", "span_id": "sp-1", "name": "tool"}
    return SpanRecorded(**{**known, "started_at": 1, "ended_at": 2, **fields})


def called(attempt, call_id):
    """A call of that attempt."""
    call = ModelCall(dialect="openai.chat", model="m")
    ids = {"rollout_id": attempt.rollout_id, "attempt_id": attempt.attempt_id, "call_id": call_id}
    return CallRecorded(**ids, call=call, started_at=1, latency=0.5)


@pytest.fixture
async def one(store):
    """A rollout under way."""
    await store.enqueue_rollout({"q": 1})
    return await store.dequeue_rollout()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout_seconds", -1.0),
        ("timeout_seconds", 0.0),
        ("timeout_seconds", float("nan")),
        ("timeout_seconds", float("inf")),
        ("unresponsive_seconds", 0),
        ("max_attempts", 0),
        ("retry_condition", ("succeeded",)),
        ("retry_condition", ("completed",)),
        ("retry_condition", ("timeuot",)),
        ("retry_condition", "failed"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(field, value):
    """By the name of its field."""
    with pytest.raises(BadValue, match=field):
        RolloutConfig(**{field: value})


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"input": 1, "mode": "training"}, BadValue),
        ({"input": object()}, BadValue),
        ({"input": float("nan")}, BadValue),
        ({"input": 1, "metadata": {"x": object()}}, BadPayload),
        ({"input": 1, "metadata": {"x": float("nan")}}, BadPayload),
        ({"input": 1, "resources_id": "rs-none"}, UnknownId),
        ({"input": 1, "resources_id": "rs-none", "resources_version": 3}, UnknownId),
    ],
)
async def test_a_bad_request_is_refused_with_all_its_batch(store, log, request_, error):
    """Many are enqueued in one transaction, or none."""
    good = EnqueueRolloutRequest(input=1)

    with pytest.raises(error):
        await store.enqueue_many_rollouts([good, EnqueueRolloutRequest(**request_), good])

    assert log.head() == 0


async def test_starting_past_the_queue_is_no_back_door(store, log):
    """The same checks hold."""
    with pytest.raises(BadValue):
        await store.start_rollout(1, mode="training")
    with pytest.raises(UnknownId):
        await store.start_rollout(1, resources_id="rs-none")

    assert log.head() == 0
    assert log.rows("select * from in_flight") == []


async def test_a_rollout_id_that_is_taken_is_refused(store, log):
    """It names one rollout for ever."""
    await store.enqueue([EnqueueRolloutRequest(input=1, rollout_id="ro-mine")])

    with pytest.raises(AglError):
        await store.enqueue([EnqueueRolloutRequest(input=2, rollout_id="ro-mine")])

    assert log.head() == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "much", None, [1], 10**400])
async def test_a_reward_that_is_no_number_is_refused(store, log, one, value):
    """It would poison every mean it is in."""
    head = log.head()

    with pytest.raises(BadValue, match="reward"):
        await store.add_reward(one.rollout_id, value)

    assert log.head() == head


@pytest.mark.parametrize("value", [1, True, "0.5"])
async def test_a_reward_that_can_be_a_number_is_one(store, one, value):
    """Booleans and whole numbers, as in Agent Lightning."""
    await store.add_reward(one.rollout_id, value)

    (outcome,) = store.ask.outcomes([one.rollout_id])
    assert outcome.reward == float(value)


async def test_facts_about_nobody_are_refused(store, log, one):
    """Unknown rollouts, unknown attempts, and attempts of other rollouts."""
    other = await store.start_rollout({"q": 2})
    head = log.head()

    for refused in (
        store.add_reward("ro-none", 1.0),
        store.add_reward(one.rollout_id, 1.0, attempt_id="at-none"),
        store.add_reward(one.rollout_id, 1.0, attempt_id=other.attempt_id),
        store.add_span(span()),
        store.add_span(span(rollout_id=one.rollout_id)),
        store.cancel_rollout("ro-none"),
    ):
        with pytest.raises(UnknownId):
            await refused

    assert log.head() == head


async def test_a_reward_of_a_call_that_is_not_there_is_refused(store, log, one):
    """Nor of one that another rollout made, nor of another rollout: it would be found out when a batch is formed."""
    other = await store.start_rollout({"q": 2})
    store.log.append([Draft(stream=f"rollout/{other.rollout_id}", event=called(other, "ca-other"))])
    head = log.head()

    for target in (Target(kind="call", id="ca-none"), Target(kind="call", id="ca-other")):
        with pytest.raises(UnknownId, match=target.id):
            await store.add_reward(one.rollout_id, 1.0, target=target)
    with pytest.raises(BadValue, match="another rollout"):
        await store.add_reward(one.rollout_id, 1.0, target=Target(kind="rollout", id=other.rollout_id))

    assert log.head() == head


async def test_a_reward_of_a_call_counts_while_the_call_is_under_way(store, log, one):
    """Who judges a stream need not wait for its end; one that is over is there anyway."""
    ids = {"run_id": None, "rollout_id": one.rollout_id, "attempt_id": one.attempt_id}
    Recorder(log).begin_call("ca-open", Scope(recorder=Recorder(log), **ids), model="m").result()
    log.append([Draft(stream=f"rollout/{one.rollout_id}", event=called(one, "ca-over"))])

    for call_id in ("ca-open", "ca-over"):
        record = await store.add_reward(one.rollout_id, 1.0, target=Target(kind="call", id=call_id))
        assert record.event.target.id == call_id


async def test_a_reward_may_name_a_span_that_is_on_its_way(store, one):
    """It comes from another program, in its own time; so does an agent that has not spoken yet."""
    for target in (Target(kind="span", id="sp-later"), Target(kind="agent", id="writer")):
        record = await store.add_reward(one.rollout_id, 1.0, target=target)
        assert record.event.target == target


HALF = "half of a pair: \ud83d"


@pytest.mark.parametrize("place", [{"a": HALF}, {HALF: 1}, {"a": [{"b": HALF}]}])
async def test_text_that_is_no_utf_8_is_refused_whole(store, log, one, place):
    """In tasks, metadata and evidence: no file could hold it, and nothing of what stands beside it is written."""
    head, good = log.head(), EnqueueRolloutRequest(input=1)

    for refused in (
        store.enqueue([good, EnqueueRolloutRequest(input=place)]),
        store.enqueue([good, EnqueueRolloutRequest(input=1, metadata=place)]),
        store.start_rollout(place),
        store.update_rollout(one.rollout_id, metadata=place),
        store.update_attempt(one.rollout_id, one.attempt_id, metadata=place),
        store.add_reward(one.rollout_id, 1.0, evidence=place),
        store.add_span(span(rollout_id=one.rollout_id, attempt_id=one.attempt_id, attributes=place)),
        store.add_resources({"prompt": PromptTemplate(template=HALF)}),
    ):
        with pytest.raises((BadValue, BadPayload)):
            await refused

    assert log.head() == head


async def test_an_id_that_is_no_utf_8_is_nobodys(store, log, one):
    """And no failure of ours."""
    head = log.head()

    for refused in (
        store.add_reward(HALF, 1.0),
        store.add_reward(one.rollout_id, 1.0, attempt_id=HALF),
        store.add_span(span(rollout_id=HALF)),
        store.cancel_rollout(HALF),
        store.get_rollout_by_id(HALF),
    ):
        with pytest.raises((UnknownId, BadValue)):
            await refused

    assert log.head() == head


async def test_questions_about_nobody_are_refused(store):
    """No answer is better than an empty one."""
    for refused in (
        store.get_rollout_by_id("ro-none"),
        store.query_attempts("ro-none"),
        store.wait_for_rollouts(rollout_ids=["ro-none"], timeout=0),
        store.get_resources_by_id("rs-none"),
        store.update_resources("rs-none", {}),
    ):
        with pytest.raises(UnknownId):
            await refused
    for ask in (store.ask.outcomes, store.ask.traces):
        with pytest.raises(UnknownId):
            ask(["ro-none"])


async def test_an_end_outside_the_vocabulary_is_refused(store, log, one):
    """And the lease is still held."""
    head = log.head()

    with pytest.raises(BadPayload):
        await store.finish_attempt(one.attempt, "exploded")

    assert log.head() == head
    assert (await store.finish_attempt(one.attempt, "completed")).late is False


async def test_what_is_no_resource_is_refused(store, log):
    """Before anything is published."""
    with pytest.raises(BadValue):
        await store.add_resources({"prompt": PromptTemplate(template="x"), "thing": Resource()})

    assert log.head() == 0


# --- once


async def test_a_request_with_a_key_is_one_rollout(store, log):
    """Sent again, alone or with others, or twice in a batch."""
    keyed = EnqueueRolloutRequest(input=1, key="k")

    (first,) = await store.enqueue([keyed])
    again = await store.enqueue([EnqueueRolloutRequest(input=2), keyed, EnqueueRolloutRequest(input=3)])
    twice = await store.enqueue([EnqueueRolloutRequest(input=4, key="j")] * 2)

    assert again[1] == first
    assert twice[0] == twice[1]
    assert [rollout.input for rollout in await store.query_rollouts(rollout_id_in=again)] == [1, 2, 3]
    assert log.head() == 4


async def test_a_span_is_kept_once(store, log, one):
    """However often an exporter sends it."""
    seen = span(rollout_id=one.rollout_id, attempt_id=one.attempt_id)

    first, again = await store.add_span(seen), await store.add_span(seen)

    assert (first.span_id, again) == (seen.span_id, None)


async def test_a_keyed_bundle_is_published_once(store):
    """The same again is the first; another is refused."""
    first = await store.publish({"prompt": PromptTemplate(template="a")}, key="k")
    again = await store.publish({"prompt": PromptTemplate(template="a")}, key="k")

    assert again == first
    with pytest.raises(KeyReused):
        await store.publish({"prompt": PromptTemplate(template="b")}, key="k")


# --- resources


async def test_versions_never_change(store):
    """An update is another version, beside the first."""
    first = await store.add_resources({"prompt": PromptTemplate(template="a")})
    second = await store.update_resources(first.resources_id, {"prompt": PromptTemplate(template="b")})

    assert (first.version, second.version) == (1, 2)
    assert await store.get_resources_by_id(first.resources_id, 1) == first
    assert await store.get_resources_by_id(first.resources_id) == second
    assert await store.get_latest_resources() == second


async def test_a_rollout_pins_what_was_latest_when_it_was_enqueued(store):
    """What comes out later does not reach it."""
    first = await store.add_resources({"prompt": PromptTemplate(template="a")})

    pinned = await store.enqueue_rollout(1)
    await store.update_resources(first.resources_id, {"prompt": PromptTemplate(template="b")})
    named = await store.enqueue_rollout(2, resources_id=first.resources_id)

    assert (pinned.resources_id, pinned.resources_version) == (first.resources_id, 1)
    assert (named.resources_id, named.resources_version) == (first.resources_id, 2)


async def test_publishing_over_a_parent_keeps_its_other_names(store):
    """Only what changes is given."""
    llm = LLM(endpoint="http://h/v1", model="m", api_key="sk-secret")
    first = await store.publish({"prompt": PromptTemplate(template="a"), "llm": llm})

    second = await store.publish({"prompt": PromptTemplate(template="b")}, parent=first, why="edit")

    assert second.resources["prompt"] == PromptTemplate(template="b")
    assert second.resources["llm"].model == "m"
    assert (second.parent, second.why) == (f"{first.resources_id}@1", "edit")


async def test_a_key_never_reaches_the_file(store, log):
    """Not in a table, not in a blob, not in the journal beside."""
    await store.add_resources({"llm": LLM(endpoint="http://h/v1", model="m", api_key="sk-very-secret")})

    content = b"".join(file.read_bytes() for file in log.path.parent.iterdir())

    assert b"sk-very-secret" not in content


async def test_commands_may_come_at_once(store, log):
    """Versions of a bundle stay 1, 2, 3 whoever publishes."""
    first = await store.add_resources({"prompt": PromptTemplate(template="0")})

    updates = (
        store.update_resources(first.resources_id, {"prompt": PromptTemplate(template=str(n))}) for n in range(9)
    )
    versions = [update.version for update in await asyncio.gather(*updates)]

    assert sorted(versions) == list(range(2, 11))


async def test_the_last_primary_reward_of_the_attempt_that_counts_is_the_reward(store, log):
    """Not one of an attempt before, not one for a span, not one by another name."""
    await store.enqueue_rollout({"q": 1}, config=RolloutConfig(max_attempts=2))
    first = await store.dequeue_rollout()
    await store.add_reward(first.rollout_id, 9.0, attempt_id=first.attempt_id)
    await store.finish_attempt(first.attempt, "agent_raised")
    second = await store.dequeue_rollout()
    for value in (0.25, 0.5):
        await store.add_reward(second.rollout_id, value, attempt_id=second.attempt_id)
    await store.add_reward(second.rollout_id, 7.0, attempt_id=second.attempt_id, name="style")
    await store.add_reward(second.rollout_id, 8.0, target=Target(kind="span", id="sp-1"))

    (outcome,) = store.ask.outcomes([second.rollout_id])

    assert outcome.reward == 0.5


async def test_any_number_may_be_asked_for_at_once(store):
    """SQLite takes 32,766 parameters; people do not count."""
    ids = await store.enqueue([EnqueueRolloutRequest(input=0) for _ in range(3)])

    found = await store.query_rollouts(rollout_id_in=[*ids, *(f"ro-{n}" for n in range(40_000))])

    assert [rollout.rollout_id for rollout in found] == ids
