"""What becomes of rollouts by how they end: a run's failure policy, and what it makes of their traces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, cast, get_args

from agl_core.adapter import Trace, TraceReward
from agl_core.errors import BadValue
from agl_core.events import ExitStatus, RewardGiven, RolloutConfig, Target, Treatment, masked, owner
from agl_core.store import Outcome, is_tried_again

__all__ = ["NO_REWARD", "Failures", "treated"]

What = Literal["train", "zero", "mask", "retry", "fail"]
NO_REWARD = "no_reward"
"""The key for what counts and was scored by nobody."""
_OWNERS = ("policy", "environment", "infrastructure", "framework")
_KEYS = (*get_args(ExitStatus), *_OWNERS, NO_REWARD)
_NOTHING: Mapping[str, What] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Failures:
    """For each way to end, what becomes of it; where nothing is said, what is usual.

    Keys are exit statuses, owners of them, and `no_reward`; an exit status goes over its owner.

    | | |
    |---|---|
    | `train` | it counts with its reward |
    | `zero` | it counts with its reward, and with a 0 where nobody gave it one |
    | `mask` | it is in no batch and in no baseline |
    | `retry` | it is tried again while attempts are left, and then masked |
    | `fail` | the run stops |

    Usual is `train` for what the policy caused, `retry` for all else, and `fail` for `no_reward`: `REWARD_MISSING`,
    when a batch is formed of it. A worker's death costs no attempt: whatever is said, it is tried again.
    """

    said: Mapping[str, What] = field(default_factory=lambda: _NOTHING)

    @classmethod
    def of(cls, given: Mapping[str, str] | Failures | None) -> Failures:
        """`{"environment": "zero", "timeout": "mask"}`; raises `BadValue` for a key or a value there is none of."""
        if isinstance(given, Failures):
            return given
        if given is not None and not isinstance(given, Mapping):
            raise BadValue("failures", given, why="it is a mapping, such as {'tool_failed': 'zero'}")
        for key, what in (given or {}).items():
            if key not in _KEYS:
                raise BadValue("failures", key, why=f"known are {', '.join(_KEYS)}")
            if what not in get_args(What):
                raise BadValue(f"failures[{key!r}]", what, why=f"it is one of {', '.join(get_args(What))}")
            if what == "retry" and key in {"completed", "policy"}:
                why = "a success is not tried again: name the ends that are, such as timeout"
                raise BadValue(f"failures[{key!r}]", what, why=why)
            if what == "retry" and key == NO_REWARD:
                raise BadValue(
                    f"failures[{key!r}]", what, why="it is known when no attempt is left: mask, zero or fail"
                )
        return cls(MappingProxyType({key: cast("What", what) for key, what in (given or {}).items()}))

    def __bool__(self) -> bool:
        return bool(self.said)

    def of_end(self, exit_status: str | None) -> What | None:
        """What is said of that way to end; None where nothing is, and of what has not ended."""
        if exit_status is None:
            return None
        return self.said.get(exit_status) or self.said.get(owner(exit_status))

    @property
    def of_unscored(self) -> What:
        """What becomes of what counts, and was scored by nobody."""
        return self.said.get(NO_REWARD, "fail")

    def configured(self, config: RolloutConfig) -> RolloutConfig:
        """The configuration under which what is to be tried again is, and nothing else that is named here."""
        ends = [end for end in get_args(ExitStatus) if end != "completed"]
        if not any(self.of_end(end) for end in ends):
            return config
        twice = replace(config, max_attempts=2)
        again = tuple(
            end
            for end in ends
            if end == "worker_lost" or self.of_end(end) == "retry"
            or (self.of_end(end) is None and is_tried_again([end], twice))
        )  # fmt: skip
        return replace(config, retry_condition=again)

    def treatment(self, status: str, exit_status: str | None, *, is_scored: bool) -> Treatment | None:
        """What becomes of a rollout that stands so; None where that is as usual."""
        said = self.of_end(exit_status)
        if said in {"mask", "retry", "fail"}:
            return "mask"
        counts: Treatment | None = "train" if said else None
        if is_scored or masked(status, exit_status, counts) is not None:
            return counts
        if said == "zero":
            return "zero"
        unscored: dict[What, Treatment] = {"mask": "unscored", "zero": "zero"}
        return unscored.get(self.of_unscored, counts)

    def outcome(self, given: Outcome) -> Outcome:
        """The outcome as this policy has it: a zero is a reward of 0.0."""
        treated = self.treatment(given.status, given.exit_status, is_scored=given.reward is not None)
        reward = 0.0 if treated == "zero" else given.reward
        return replace(given, treated=treated, reward=reward)

    def zeroed(self, traces: Iterable[Trace]) -> Iterator[str]:
        """For each rollout that got a zero, what for: its exit status, or `no_reward`."""
        for trace in traces:
            if trace.treated == "zero":
                yield str(trace.exit_status) if self.of_end(trace.exit_status) == "zero" else NO_REWARD


def treated(traces: Iterable[Trace], failures: Failures) -> list[Trace]:
    """The traces as a run with that policy has them: `Trace.mask` is then right. Pure.

    A zero is a reward of the rollout that no event gave: its id is null, and its judge `failures`.
    """
    return [_treated(trace, failures) for trace in traces]


def _treated(trace: Trace, failures: Failures) -> Trace:
    treatment = failures.treatment(trace.status, trace.exit_status, is_scored=trace.reward is not None)
    zeros: Sequence[TraceReward] = (_zero(trace),) if treatment == "zero" else ()
    return replace(trace, treated=treatment, rewards=(*trace.rewards, *zeros))


def _zero(trace: Trace) -> TraceReward:
    target = Target(kind="rollout", id=trace.rollout_id)
    given = RewardGiven(rollout_id=trace.rollout_id, target=target, value=0.0, judge="failures")
    return TraceReward(id=None, given=given)
