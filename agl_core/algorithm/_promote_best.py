"""Promote the best: the version of prompts, or of a policy's weights, that did best so far is declared so."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import ClassVar

from agl_core.events import (
    Event,
    MetricsLogged,
    OutcomesRead,
    PolicyPromoted,
    PolicyUpdated,
    ResourcesPromoted,
    RewardGiven,
    RewardWithdrawn,
    RolloutEnqueued,
    RolloutFinished,
    RunStarted,
    masked,
)
from agl_core.record import Draft, Record
from agl_core.run import Failures

__all__ = ["PromoteBest"]

Version = tuple[str, int]
"""A bundle: id and version."""
Scores = Mapping[Version, Mapping[str, tuple[float, int]]]
"""Bundle to task to the sum of its rewards there, and their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """A rollout of the mode that is looked at, until its round is read."""

    version: Version
    task_id: str
    group: str | None
    end: RolloutFinished | None = None
    rewards: Mapping[str, Record] = field(default_factory=dict)
    """By their ids, in the order in which they were given."""

    def reward(self, failures: Failures, *, as_of: int) -> float | None:
        """As the run has it; None of what counts for nothing, or was scored by nobody."""
        if self.end is None:
            return None
        given = [
            record.event.value
            for record in self.rewards.values()
            if isinstance(record.event, RewardGiven)
            and record.position <= as_of
            and record.event.attempt_id in {None, self.end.attempt_id}  # not of an attempt that was tried again
        ]
        status, exit_status = self.end.status, self.end.exit_status
        treated = failures.treatment(status, exit_status, is_scored=bool(given))
        if masked(status, exit_status, treated) is not None:
            return None
        return 0.0 if treated == "zero" else given[-1] if given else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What is known of every version."""

    failures: Failures = field(default_factory=Failures)
    open: Mapping[str, _Tried] = field(default_factory=dict)
    """Rollouts of rounds that nobody has read yet."""
    scores: Scores = field(default_factory=dict)
    promoted: Version | None = None
    speaking: PolicyUpdated | None = None
    """The weights with which a policy spoke last."""
    best: float | None = None
    """Reading of the weights that were promoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteBest:
    """Promotes the bundle with the best mean reward on `mode`, and the weights with the best reading of `metric`.

    Two bundles are compared on the tasks of the best so far, when a round of rollouts is read: one that was not tried
    on all of them has not beaten it. What is masked counts for nothing; a reward that comes later does neither.
    """

    name: ClassVar[str] = "promote_best"
    version: ClassVar[str] = "1"
    hears: ClassVar[Collection[type[Event]]] = (
        MetricsLogged, OutcomesRead, PolicyUpdated, RewardGiven, RewardWithdrawn, RolloutEnqueued, RolloutFinished,
        RunStarted,
    )  # fmt: skip

    mode: str = "val"
    """Of the rollouts that are looked at."""
    metric: str = "val/reward"
    """By which weights are compared, each time the run logs it."""

    def begin(self) -> _Seen:
        """Nothing was tried."""
        return _Seen()

    def evolve(self, state: _Seen, record: Record) -> _Seen:
        """What came of each round, which weights speak, and what was promoted."""
        match record.event:
            case RunStarted() as event:
                return replace(state, failures=Failures.of(event.config.failures))
            case OutcomesRead() as event:
                return _read(state, record.key, event.as_of)
            case PolicyUpdated() as event:
                return replace(state, speaking=event)
            case ResourcesPromoted() as event:
                return replace(state, promoted=(event.resources_id, event.version))
            case PolicyPromoted() as event:
                return replace(state, best=event.value)
            case RolloutEnqueued(mode=self.mode) as event if event.resources_id and event.resources_version:
                version = (event.resources_id, event.resources_version)
                return _with(state, event.rollout_id, _Tried(version=version, task_id=event.task_id, group=event.group))
            case RolloutFinished() | RewardGiven() | RewardWithdrawn() as event if event.rollout_id in state.open:
                return _with(state, event.rollout_id, _went_on(state.open[event.rollout_id], record))
        return state

    def decide(self, state: _Seen, record: Record) -> Iterator[Draft]:
        """When a round is read, the best bundle; when the metric is, the weights that speak now, if they beat it."""
        match record.event:
            case OutcomesRead(run_id=run_id):
                yield from self._bundle(state, run_id)
            case MetricsLogged(run_id=run_id, metrics=metrics) if self.metric in metrics and state.speaking:
                value, weights = metrics[self.metric], state.speaking
                if state.best is None or value > state.best:
                    before = f", and {state.best:g} before" if state.best is not None else ""
                    event = PolicyPromoted(
                        run_id=run_id,
                        policy=weights.policy,
                        version=weights.version,
                        checkpoint=weights.checkpoint,
                        value=value,
                        why=f"{self.metric} {value:g}{before}",
                    )
                    yield Draft(stream=f"run/{run_id}", event=event)

    def _bundle(self, state: _Seen, run_id: str) -> Iterator[Draft]:
        best, why = state.promoted, ""
        for version, tasks in state.scores.items():
            bar = state.scores.get(best, {}) if best else {}
            if version == best or not bar.keys() <= tasks.keys():
                continue
            mean = _mean(tasks, bar or tasks)
            told = f"mean reward {mean:g} on {len(bar or tasks)} {self.mode} task(s)"
            if not bar:
                best, why = version, f"{told}, and nothing was tried before"
            elif best and mean > (before := _mean(bar, bar)):
                best, why = version, f"{told}, and {before:g} of {best[0]} version {best[1]}"
        if best is not None and best != state.promoted:
            event = ResourcesPromoted(resources_id=best[0], version=best[1], why=why, run_id=run_id)
            yield Draft(stream=f"resources/{best[0]}", event=event)


def _with(state: _Seen, rollout_id: str, tried: _Tried) -> _Seen:
    return replace(state, open={**state.open, rollout_id: tried})


def _went_on(tried: _Tried, record: Record) -> _Tried:
    match record.event:
        case RolloutFinished() as event:
            return replace(tried, end=event)
        case RewardGiven(name="primary") as event if event.target.kind == "rollout":
            return replace(tried, rewards={**tried.rewards, record.id: record})
        case RewardWithdrawn() as event:
            left = {id_: given for id_, given in tried.rewards.items() if id_ != event.reward}
            return replace(tried, rewards=left)
    return tried


def _read(state: _Seen, group: str | None, as_of: int) -> _Seen:
    """The round, added up: what is not of it stays open."""
    scores = {version: dict(tasks) for version, tasks in state.scores.items()}
    for tried in state.open.values():
        reward = tried.reward(state.failures, as_of=as_of) if tried.group == group else None
        if reward is not None:
            total, count = scores.setdefault(tried.version, {}).get(tried.task_id, (0.0, 0))
            scores[tried.version][tried.task_id] = (total + reward, count + 1)
    left = {id_: tried for id_, tried in state.open.items() if tried.group != group}
    return replace(state, open=left, scores=scores)


def _mean(tasks: Mapping[str, tuple[float, int]], of: Collection[str]) -> float:
    """Of the tasks in `of`, each of which counts once."""
    return fmean(tasks[task][0] / tasks[task][1] for task in of)
