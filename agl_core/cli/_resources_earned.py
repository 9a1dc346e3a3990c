"""What rollouts earned, split by split: the evidence for a version of a prompt, or of a policy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agl_core.log import SqliteLog
    from agl_core.run import Estimate, Failures
    from agl_core.store import Outcome

__all__ = ["SPLITS", "Earned", "compared", "difference", "earned", "earned_by_policy", "earned_by_run", "headline"]

SPLITS = ("test", "val", "train")
"""The one that tells most first."""
_FEW = 500
_ROLLOUT = "r.rollout_id, r.run_id, r.mode, r.task_id, r.repeat, r.status, r.exit_status"


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """The rollouts of a split that used a version."""

    mode: str | None
    outcomes: tuple[Outcome, ...]
    """As the failure policy of their run has them."""

    @property
    def by_task(self) -> dict[str, float]:
        """Task to the mean of its rollouts that count and were scored."""
        rewards: dict[str, list[float]] = defaultdict(list)
        for outcome in self.outcomes:
            if outcome.mask is None and outcome.reward is not None:
                rewards[outcome.task_id].append(outcome.reward)
        return {task: sum(given) / len(given) for task, given in rewards.items()}

    def to_json(self) -> dict[str, Any]:
        """The mean over tasks, with its 95 % interval; what does not count, counted."""
        from agl_core.run import Estimate

        counts = [outcome for outcome in self.outcomes if outcome.mask is None]
        estimate = Estimate.of([*self.by_task.values()]).to_json()
        return {
            "mode": self.mode,
            "rollouts": len(self.outcomes),
            "tasks": estimate["n"],
            "mean": estimate["mean"] if estimate["n"] else None,
            "ci95": estimate["ci95"],
            "masked": len(self.outcomes) - len(counts),
            "unscored": sum(outcome.reward is None for outcome in counts),
        }


def earned(log: SqliteLog, versions: Collection[tuple[str, int]]) -> dict[tuple[str, int], list[Earned]]:
    """For each version of a bundle, what rollouts that ended earned with it, a split each."""
    from agl_core.ids import canonical
    from agl_core.store import REWARD

    sql = f"""
    select {_ROLLOUT}, {REWARD}, r.resources_id, r.resources_version
    from rollouts r
    where hidden = 0 and finished_at is not null and resources_id in (select value from json_each(?))
    order by position
    """  # noqa: S608 - names of ours
    wanted, by_version = set(versions), defaultdict(list)
    for *row, id_, version in log.rows(sql, (canonical(sorted({id_ for id_, _ in wanted})).decode(),)):
        if (id_, version) in wanted:
            by_version[id_, version].append(row)
    policies = _Policies(log)
    return {version: _by_split(by_version[version], policies) for version in versions}


def earned_by_policy(log: SqliteLog, run_id: str, policy: str, version: int) -> list[Earned]:
    """What rollouts of a run earned of which every call to the policy was answered by that version."""
    from agl_core.store import REWARD

    sql = f"""
    select {_ROLLOUT}, {REWARD}
    from rollouts r
    join calls c on c.attempt_id = r.attempt_id and c.role = 'policy' and c.model = ?
    where r.run_id = ? and hidden = 0 and finished_at is not null
    group by r.rollout_id
    having min(c.policy_version) = ? and max(c.policy_version) = ?
    """  # noqa: S608 - names of ours
    return _by_split(log.rows(sql, (policy, run_id, version, version)), _Policies(log))


def earned_by_run(log: SqliteLog, run_id: str) -> list[Earned]:
    """What the rollouts of a run earned that ended, whatever they were given."""
    from agl_core.store import REWARD

    sql = f"""
    select {_ROLLOUT}, {REWARD}
    from rollouts r
    where r.run_id = ? and hidden = 0 and finished_at is not null
    order by position
    """  # noqa: S608 - names of ours
    return _by_split(log.rows(sql, (run_id,)), _Policies(log))


def headline(found: Iterable[Earned]) -> Mapping[str, Any] | None:
    """What the split says that tells most: test before val before train; None where nothing was scored."""
    return next((told for one in found if (told := one.to_json())["tasks"]), None)


def compared(before: Iterable[Earned], after: Iterable[Earned]) -> list[dict[str, Any]]:
    """Both on the tasks that both were scored on, split by split: the paired difference, and which tasks got worse."""
    found, first = [], {one.mode: one.by_task for one in before}
    for one in after:
        earlier, later = first.get(one.mode, {}), one.by_task
        changes = {task: later[task] - earlier[task] for task in earlier if task in later}
        if not changes:
            continue
        values = [*changes.values()]
        estimate, _ = difference(values)
        found.append(
            {
                "mode": one.mode,
                "difference": estimate.to_json(),
                "better": sum(change > 0 for change in values),
                "worse": sum(change < 0 for change in values),
                "regressed": [task for task, change in changes.items() if change < 0],
            }
        )
    return found


def difference(values: Sequence[float]) -> tuple[Estimate, str]:
    """Of paired differences, their mean with its interval, and which interval that is."""
    from agl_core.run import Estimate

    # Of many, the two intervals agree, and to draw ten thousand samples of them takes seconds.
    is_drawn = len(values) <= _FEW
    return (Estimate.bootstrap(values), "bootstrap") if is_drawn else (Estimate.of(values), "normal")


class _Policies:
    """What becomes of rollouts by how they end, run by run."""

    def __init__(self, log: SqliteLog) -> None:
        self._log = log
        self._known: dict[str | None, Failures] = {}

    def of(self, run_id: str | None) -> Failures:
        if run_id not in self._known:
            from agl_core.events import RunStarted
            from agl_core.run import Failures

            record = self._log.get(run_id) if run_id else None
            said = record.event.config.failures if record and isinstance(record.event, RunStarted) else {}
            self._known[run_id] = Failures.of(said)
        return self._known[run_id]


def _by_split(rows: Iterable[Any], policies: _Policies) -> list[Earned]:
    from agl_core.store import Outcome

    splits: dict[str | None, list[Outcome]] = defaultdict(list)
    for rollout_id, run_id, mode, task_id, repeat, status, exit_status, reward in rows:
        outcome = Outcome(
            rollout_id=rollout_id, task_id=task_id, task=None, repeat=repeat, status=status, exit_status=exit_status,
            reward=reward,
        )  # fmt: skip
        splits[mode].append(policies.of(run_id).outcome(outcome))
    order = {mode: at for at, mode in enumerate(SPLITS)}
    return [
        Earned(mode=mode, outcomes=tuple(splits[mode]))
        for mode in sorted(splits, key=lambda mode: order.get(str(mode), len(order)))
    ]
