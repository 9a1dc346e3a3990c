"""The adapter that an algorithm of v0.3's kind is handed."""

import pytest

import agl_core as agl
from agl_core import Trainer
from agl_core.errors import BadValue

agl_triplets = pytest.importorskip("agl_triplets")


@agl.rollout
def agent(task: dict) -> float:
    """Anything."""
    return 1.0


def handed(log, **given):
    """What the algorithm gets, and what it makes of a rollout."""
    seen = []

    @agl.algo
    async def old(*, store, train_dataset, adapter):
        rollout = await store.enqueue_rollout(train_dataset[0], mode="train")
        await store.wait_for_rollouts(rollout_ids=[rollout.rollout_id], timeout=30)
        seen.append(adapter)
        seen.append(adapter.adapt(await store.query_spans(rollout.rollout_id, "latest")))

    Trainer(store=log, algorithm=old, **given).fit(agent, [{"n": 1}])
    return seen


@pytest.fixture
def log(tmp_path):
    """A log that is not there yet."""
    return str(tmp_path / "log.db")


def test_without_a_word_it_is_v03_s(log):
    """As its users have it; of a rollout that asked no model, nothing comes."""
    assert handed(log) == [agl.TracerTraceToTriplet(), []]


@pytest.mark.parametrize(
    "given",
    [
        {"agent_match": "writer", "reward_match": "first_sibling"},
        {"name": "tracer-triplets", "agent_match": "writer", "reward_match": "first_sibling"},
        agl_triplets.TracerTraceToTriplet(agent_match="writer", reward_match="first_sibling"),
    ],
    ids=["arguments", "a name and arguments", "an adapter"],
)
def test_a_dict_that_names_none_has_its_arguments(log, given):
    """As in v0.3; a name, or an adapter, does as well."""
    adapter, _ = handed(log, adapter=given)

    assert adapter == agl.TracerTraceToTriplet(agent_match="writer", reward_match=agl.RewardMatchPolicy.FIRST_SIBLING)


def test_an_argument_that_it_does_not_take_is_refused(log):
    """When the trainer is made."""
    with pytest.raises(BadValue, match="agent_match"):
        Trainer(store=log, adapter={"agentmatch": "writer"})
