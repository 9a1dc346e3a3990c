"""What is asked for twice under one name is made once."""

import pytest

from agl_core.errors import KeyReused
from agl_core.events import RolloutConfig
from agl_core.resources import PromptTemplate
from agl_core.store import EnqueueRolloutRequest

pytestmark = pytest.mark.anyio


async def test_a_rollout_with_an_id_is_made_once(store, log):
    """However it is asked for again, also after it has gone on, and twice in one batch."""
    await store.add_resources({"p": PromptTemplate("a")})
    config = RolloutConfig(timeout_seconds=3)
    first = await store.enqueue_rollout({"q": 1.0}, "train", config=config, metadata={"k": [1]}, rollout_id="ro-mine")
    await store.add_resources({"p": PromptTemplate("b")})
    same = EnqueueRolloutRequest(
        input={"q": 1.0}, mode="train", config=config, metadata={"k": [1]}, rollout_id="ro-mine"
    )
    await store.update_rollout("ro-mine", metadata={"k": 2})
    head = log.head()

    again = await store.enqueue_rollout({"q": 1.0}, "train", config=config, metadata={"k": [1]}, rollout_id="ro-mine")
    many = await store.enqueue_many_rollouts([same, same])
    assert log.head() == head
    started = await store.start_rollout({"q": 1.0}, "train", config=config, metadata={"k": [1]}, rollout_id="ro-mine")
    resent = await store.start_rollout({"q": 1.0}, "train", config=config, metadata={"k": [1]}, rollout_id="ro-mine")

    assert again.resources_id == first.resources_id
    assert [one.rollout_id for one in many] == ["ro-mine", "ro-mine"]
    assert resent == started


@pytest.mark.parametrize(
    "other",
    [{"input": 2}, {"mode": "val"}, {"metadata": {"k": 1}}, {"config": RolloutConfig(max_attempts=2)}, {"group": "g"}],
)
async def test_another_rollout_with_that_id_is_refused(store, log, other):
    """It names one rollout for ever; nothing of the batch is written."""
    await store.enqueue([EnqueueRolloutRequest(input=1, rollout_id="ro-mine")])
    differs = EnqueueRolloutRequest(**{"input": 1, "rollout_id": "ro-mine", **other})

    with pytest.raises(KeyReused, match=next(iter(other))):
        await store.enqueue([EnqueueRolloutRequest(input=0), differs])
    twins = [EnqueueRolloutRequest(input=1, rollout_id="ro-new"), EnqueueRolloutRequest(input=2, rollout_id="ro-new")]
    with pytest.raises(KeyReused):
        await store.enqueue(twins)
    if "group" not in other:
        with pytest.raises(KeyReused):
            await store.start_rollout(**{"input": 1, "rollout_id": "ro-mine", **other})

    assert log.head() == 1


async def test_a_key_names_one_rollout_too(store):
    """With other content it is refused."""
    await store.enqueue([EnqueueRolloutRequest(input=1, key="k")])

    with pytest.raises(KeyReused):
        await store.enqueue([EnqueueRolloutRequest(input=2, key="k")])
