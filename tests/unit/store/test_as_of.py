"""What came of rollouts, as of a position: rewards that came later, or were taken back later, are not there."""

import pytest

from agl_core.errors import BadValue, UnknownId
from agl_core.events import Target

pytestmark = pytest.mark.anyio


async def ended(store, reward=None, exit_status="completed"):
    """A rollout that came to its end."""
    one = await store.start_rollout({"q": 1})
    if reward is not None:
        await store.add_reward(one.rollout_id, reward, attempt_id=one.attempt_id)
    await store.finish_attempt(one.attempt, exit_status)
    return one.rollout_id


def rewards(store, ids, *, as_of=None):
    """By the outcomes, which the traces agree with."""
    found = [outcome.reward for outcome in store.ask.outcomes(ids, as_of=as_of)]
    assert [trace.reward for trace in store.ask.traces(ids, as_of=as_of)] == found
    return found


async def test_a_reward_is_there_from_its_position_on(store):
    """Late, revised, taken back, and again; of one rollout, while another stays as it was."""
    ids = [await ended(store, 0.5), await ended(store, 0.1)]
    positions = [store.log.head()]
    late = await store.add_reward(ids[0], 1.0, judge="user")
    positions.append(store.log.head())
    await store.withdraw_reward(ids[0], late.id, "a mistake")
    positions.append(store.log.head())
    await store.add_reward(ids[0], 0.75, judge="auditor")
    await store.add_reward(ids[0], 9.0, judge="style", name="style")
    await store.add_reward(ids[0], 9.0, judge="user", target=Target(kind="agent", id="writer"))

    found = [rewards(store, ids, as_of=position) for position in positions]

    assert found == [[0.5, 0.1], [1.0, 0.1], [0.5, 0.1]]
    assert rewards(store, ids) == rewards(store, ids, as_of=store.log.head()) == [0.75, 0.1]


@pytest.mark.parametrize("said", [{"name": ""}, {"judge": ""}, {"target": "call"}], ids=str)
async def test_a_reward_that_nobody_could_ask_for_is_refused(store, said):
    """It has a name, a judge, and a target that is one; and nothing is written."""
    rollout_id = await ended(store)
    before = store.log.head()

    with pytest.raises(BadValue, match=next(iter(said))):
        await store.add_reward(rollout_id, 1.0, **said)

    assert store.log.head() == before


async def test_an_outcome_is_as_it_was_in_all_that_it_says(store):
    """The same from the tables and from the trace, however the rollout ended, and whatever came after."""
    ids = [await ended(store, 0.5), await ended(store, exit_status="timeout"), await ended(store, None, "agent_raised")]
    before, then = store.ask.outcomes(ids), store.log.head()
    for rollout_id in ids:
        await store.add_reward(rollout_id, 1.0, judge="user")
        await store.delete_rollout(rollout_id)

    assert store.ask.outcomes(ids, as_of=then) == before
    assert [outcome.status for outcome in before] == ["succeeded", "failed", "failed"]
    assert store.ask.outcomes(ids) != before


async def test_the_tasks_that_are_named_spare_reading_them_back(store):
    """Of those that were looked up then, too."""
    rollout_id = await ended(store, 0.5)
    then = store.log.head()
    await store.add_reward(rollout_id, 1.0, judge="user")

    (outcome,) = store.ask.outcomes([rollout_id], {rollout_id: "mine"}, as_of=then)

    assert (outcome.task, outcome.reward) == ("mine", 0.5)


async def test_what_was_not_there_then_is_unknown(store):
    """An answer about a time before it would be a guess."""
    then = store.log.head()
    rollout_id = await ended(store)

    for asked in (store.ask.outcomes, store.ask.traces):
        with pytest.raises(UnknownId, match=rollout_id):
            asked([rollout_id], as_of=then)
    assert store.ask.outcomes([], as_of=then) == store.ask.traces([], as_of=then) == []
