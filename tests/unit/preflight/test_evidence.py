"""What an attempt shows, told from values alone."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from agl_core.events import CallRecorded, Choice, Message, ModelCall, Sampling
from agl_core.log import SqliteLog
from agl_core.preflight import Evidence, Preflight, compared, faults, judge, needs_of
from agl_core.projections import CORE
from agl_core.store import EnqueueRolloutRequest, Store

ALL = ("calls", "rewards", "token_ids", "groups", "exploration")


def call(*, role: str = "policy", status: str = "ok", ids: tuple[int, ...] = (5, 1), **fields: Any) -> CallRecorded:
    """A model call that went well, unless told otherwise."""
    answer = Choice(message=Message(role="assistant", content="4"), token_ids=ids)
    sampling = Sampling(temperature=fields.pop("temperature", None))
    return CallRecorded(
        call_id="ca-1", rollout_id="ro-1", attempt_id="at-1", role=role, status=status, started_at=0, latency=0.1,
        call=ModelCall(model="policy", choices=(answer,), sampling=sampling), **fields,
    )  # fmt: skip


def seen(*calls: CallRecorded, **fields: Any) -> Evidence:
    """An attempt that completed and was rewarded, unless told otherwise."""
    defaults: dict[str, Any] = {"rollout_id": "ro-1", "mode": "train", "exit_status": "completed", "reward": 1.0}
    return Evidence(calls=calls, **{**defaults, **fields})


@pytest.mark.parametrize(
    ("evidence", "wanted"),
    [
        (seen(call()), []),
        (seen(), ["CAPTURE_NONE"]),
        (seen(strays=2), ["UNATTRIBUTED_CALL"]),
        (seen(call(), strays=2), []),
        (seen(call(role="judge")), ["CAPTURE_NONE"]),
        (seen(call(), reward=None), ["REWARD_MISSING"]),
        (seen(call(), reward=0.0), []),
        (seen(reward=None), ["CAPTURE_NONE", "REWARD_MISSING"]),
        (seen(call(status="error", error="model_not_found")), ["CALLS_FAILED"]),
        (seen(call(status="error"), call()), []),
        (seen(call(ids=())), ["TOKEN_IDS_MISSING"]),
        (seen(call(ids=()), call()), []),
        (seen(call(temperature=0.0)), ["NO_EXPLORATION"]),
        (seen(call(temperature=0.0), call(temperature=0.7)), []),
        (seen(call(temperature=0.0), mode="val"), []),
        (seen(exit_status="timeout", reward=None), ["AGENT_HANGS"]),
        (seen(call(), exit_status="timeout", reward=0.2), []),
        (seen(exit_status="agent_raised", error="KeyError: 'x'", reward=None), ["AGENT_FAILED"]),
        (seen(exit_status="endpoint_down", reward=None), ["AGENT_FAILED"]),
    ],
)
def test_what_is_wrong_is_told_by_its_code(evidence, wanted):
    """Causes before what follows from them; what an agent did right is no fault."""
    assert [error.code for error in faults(evidence, ALL)] == wanted


def test_what_is_not_needed_is_not_missed():
    """An algorithm that rewrites prompts wants no token ids."""
    assert faults(seen(call(ids=(), temperature=0.0)), ("calls", "rewards")) == []
    assert faults(seen(), ("rewards",)) == []


def test_rewards_are_compared_from_three_on():
    """Two may agree by chance."""
    assert compared([0.5, 0.5]) is None
    assert compared([0.5, 0.5, 1.0]) is None
    assert compared([0.5] * 3).rollouts == 3


def test_the_first_of_what_was_found_is_raised_with_the_others_as_notes():
    """Nobody mends one to be told of the next."""
    error = judge(faults(seen(reward=None), ALL), only_warns=False)

    assert error.code == "CAPTURE_NONE"
    assert any("[REWARD_MISSING]" in note for note in error.__notes__)
    assert judge([], only_warns=False) is None


def test_an_algorithm_that_says_nothing_needs_nothing():
    """It is looked at only when somebody asks for it."""
    assert needs_of(object()) == frozenset()


def test_a_first_rollout_that_keeps_the_others_waiting_is_told(tmp_path, caplog):
    """Without a time-out nothing else would say why nothing happens."""

    class Runner:
        worker_id, max_rollouts = "wk-1", None

        async def iter(self) -> int:
            if self.taken is None:
                return 0
            while not caplog.records:  # noqa: ASYNC110 - what is logged sets no event
                await asyncio.sleep(0)
            attempt, self.taken = self.taken.attempt, None
            await store.finish_attempt(attempt, "completed")
            return 1

    async def scout() -> Any:
        runner = Runner()
        await store.enqueue([EnqueueRolloutRequest(input={"n": 1}, run_id="run-1")])
        runner.taken = await store.dequeue_rollout(runner.worker_id)
        return await Preflight(store, "run-1", (), patience=0.0).scout(runner)

    with SqliteLog(tmp_path / "log.db", projections=CORE) as log, caplog.at_level(logging.WARNING):
        store = Store(log)
        asyncio.run(asyncio.wait_for(scout(), 30))
        store.close()

    assert "has not ended after 0 s, and the others wait for it" in caplog.text
