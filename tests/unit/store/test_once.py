"""What is asked for twice under one name is made once."""

from dataclasses import replace

import pytest

from agl_core.errors import KeyReused
from agl_core.events import RolloutConfig
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.resources import PromptTemplate
from agl_core.store import EnqueueRolloutRequest, Store

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

    with pytest.raises(KeyReused, match="another content"):
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


async def test_what_is_kept_after_redaction_is_compared(clock):
    """Sent again, a secret is not other content."""

    def hidden(draft):
        event = draft.event
        return replace(draft, event=replace(event, metadata={"token": "***"})) if hasattr(event, "input") else draft

    with SqliteLog(":memory:", projections=CORE, clock=clock, redact=hidden) as log:
        store = Store(log, clock=clock)
        asked = EnqueueRolloutRequest(input=1, metadata={"token": "secret"}, rollout_id="ro-mine")
        assert (await store.enqueue([asked])) * 2 == await store.enqueue([asked, asked])
        store.close()


async def test_the_first_settles_what_was_left_open(store):
    """Which resources, which version; naming others is other content."""
    first = await store.add_resources({"p": PromptTemplate("a")})
    second = await store.add_resources({"p": PromptTemplate("b")})
    by_name = EnqueueRolloutRequest(input=1, rollout_id="ro-named", resources_id=first.resources_id)
    await store.enqueue([by_name, EnqueueRolloutRequest(input=1, rollout_id="ro-open")])
    await store.update_resources(first.resources_id, {"p": PromptTemplate("c")})

    named, left_open = await store.enqueue_many_rollouts(
        [by_name, EnqueueRolloutRequest(input=1, rollout_id="ro-open")]
    )

    assert (named.resources_id, named.resources_version) == (first.resources_id, 1)
    assert (left_open.resources_id, left_open.resources_version) == (second.resources_id, 1)
    with pytest.raises(KeyReused):
        await store.enqueue([replace(by_name, resources_id=second.resources_id)])
    with pytest.raises(KeyReused):
        await store.enqueue([replace(by_name, resources_version=2)])


async def test_an_id_that_the_store_gave_is_no_key(store):
    """Whoever uses it for a new rollout is refused."""
    rollout = await store.enqueue_rollout(1)

    with pytest.raises(KeyReused):
        await store.enqueue_rollout(1, rollout_id=rollout.rollout_id)
