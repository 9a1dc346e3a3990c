"""What one rollout shows: pure, from what it left in the log."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from agl_core.errors import (
    AgentFailed,
    AgentHangs,
    AglError,
    CallsFailed,
    CaptureNone,
    NoExploration,
    PlaceholderMissing,
    RewardConstant,
    RewardMissing,
    TokenIdsMissing,
    UnattributedCall,
)
from agl_core.events import CallRecorded, Treatment, owner
from agl_core.preflight._needs import Need
from agl_core.run import Failures
from agl_core.store import Store

__all__ = ["Evidence", "compared", "faults", "gathered"]

_UNFILLED = re.compile(r"placeholder = '(?P<name>[^']*)' is refused: no value was given for it; given: (?P<given>.*)")
_UNDEFINED = re.compile(r"template = .* is refused: UndefinedError: '(?P<name>[^']*)' is undefined")
_SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """An attempt that has ended."""

    rollout_id: str
    mode: str | None
    exit_status: str
    error: str | None = None
    reward: float | None = None
    calls: tuple[CallRecorded, ...] = ()
    strays: int = 0
    """Model calls of this process that belong to no attempt."""
    treated: Treatment | None = None
    """What its run does with it for how it ended; None where that is as usual."""
    scores: bool = True
    """Whether the run cannot do without a reward of what counts."""

    @property
    def ended(self) -> bool:
        """Whether the agent came to an end that the policy has to answer for."""
        return self.treated != "mask" and (self.treated is not None or owner(self.exit_status) == "policy")


def gathered(store: Store, attempt_id: str, *, strays: int = 0, failures: Failures | None = None) -> Evidence | None:
    """What an attempt left; None while it is under way, and when it was called off."""
    rows = store.log.rows("select rollout_id, exit_status, error from attempts where attempt_id = ?", (attempt_id,))
    if not rows or rows[0][1] is None:
        return None
    rollout_id, exit_status, error = rows[0]
    (outcome,) = store.ask.outcomes([rollout_id])
    (trace,) = store.ask.traces([rollout_id])
    is_of_it = trace.attempt_id == attempt_id
    reward, failures = outcome.reward if is_of_it else None, failures or Failures()
    treated = failures.treatment("failed", exit_status, is_scored=reward is not None)
    return Evidence(
        rollout_id=rollout_id,
        mode=trace.mode,
        exit_status=exit_status,
        error=error,
        reward=0.0 if treated == "zero" else reward,
        calls=trace.calls if is_of_it else (),
        strays=strays,
        treated=treated,
        scores=failures.of_unscored == "fail",
    )


def faults(seen: Evidence, needs: Collection[Need]) -> list[AglError]:
    """What is wrong with it, the cause before what follows from it; an agent that failed shows nothing else."""
    if not seen.ended:
        return [_failed(seen)]
    if seen.exit_status == "timeout" and seen.reward is None:
        return [AgentHangs(seen.rollout_id, why=seen.error or "it was stopped by its time-out")]
    return [*_of_calls(seen, needs), *_of_reward(seen, needs)]


def compared(rewards: Sequence[float]) -> RewardConstant | None:
    """Whether several rollouts earned the same; one or two may."""
    if len(rewards) > 2 and len(set(rewards)) == 1:
        return RewardConstant(len(rewards), value=f"{rewards[0]:g}")
    return None


def _failed(seen: Evidence) -> AglError:
    error = seen.error or ""
    if found := _UNFILLED.search(error):
        given = found["given"].partition(" at /")[0] or "nothing"
        return PlaceholderMissing(found["name"], given=given)
    if found := _UNDEFINED.search(error):
        return PlaceholderMissing(found["name"], given="others")
    return AgentFailed(1, why=f"{seen.exit_status}: {error[:_SHOWN]}", example=seen.rollout_id)


def _of_reward(seen: Evidence, needs: Collection[Need]) -> Iterator[AglError]:
    if "rewards" in needs and seen.scores and seen.reward is None:
        yield RewardMissing(1, example=seen.rollout_id)


def _of_calls(seen: Evidence, needs: Collection[Need]) -> Iterator[AglError]:
    asked = [call for call in seen.calls if call.role == "policy"]
    answered = [call for call in asked if call.status == "ok"]
    if "calls" not in needs:
        return
    if not asked and seen.strays:
        yield UnattributedCall(seen.strays, example=seen.rollout_id)
    elif not asked:
        yield CaptureNone(1, example=seen.rollout_id)
    elif not answered:
        yield CallsFailed(len(asked), why=(asked[-1].error or asked[-1].status)[:_SHOWN], example=seen.rollout_id)
    if not answered:
        return
    if "token_ids" in needs and not any(choice.token_ids for call in answered for choice in call.call.choices):
        yield TokenIdsMissing(answered[0].call.model)
    if "exploration" in needs and seen.mode == "train" and _is_greedy(answered):
        yield NoExploration("the agent")


def _is_greedy(calls: Sequence[CallRecorded]) -> bool:
    return all(call.call.sampling.temperature == 0 for call in calls)
