"""Questions the store answers from its tables."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, cast

import msgspec

from agl_core.errors import BadValue, NothingPromoted, UnknownId
from agl_core.log import SqliteLog
from agl_core.projections import Trace, traces
from agl_core.resources import ResourcesUpdate
from agl_core.store import _promotions as promoting
from agl_core.store._lists import Lists
from agl_core.store._pages import Page, PaginatedResult
from agl_core.store._promotions import Promotion
from agl_core.store._rows import bundle, many
from agl_core.store._types import Admission, Attempt, Outcome, Rollout, RolloutStatus

__all__ = ["REWARD", "Queries"]

REWARD = (
    "(select value from rewards w where w.rollout_id = r.rollout_id and name = 'primary' and target_kind = 'rollout' "
    "and withdrawn = 0 and (w.attempt_id is null or w.attempt_id = r.attempt_id and w.position < "
    "ifnull((select fence from attempts f where f.attempt_id = r.attempt_id), ~(1 << 63))) "
    "order by position desc limit 1)"
)
"""The last reward of the attempt that counts, for a row `r` of `rollouts`: the one definition of a rollout's reward.

What an attempt says after its lease was lost is not its reward; a judge who comes later names no attempt."""

_KNOWN = (
    "select rollout_id from rollouts where rollout_id in (select value from json_each(?)) and hidden <= ? "
    "and position <= coalesce(?, position)"
)
_GROWN = (
    "select value from json_each(?) where ? < "
    "(select position from events where stream = 'rollout/' || value order by version desc limit 1)"
)
"""Rollouts of which something was said later: the last of a stream has its highest position."""
_DELETED = "with hidden as (select rollout_id from rollouts where hidden = 1) "


class Queries(Lists):
    """Reads only; every answer is as of the last commit."""

    def __init__(self, log: SqliteLog) -> None:
        super().__init__(log)
        self._secret = log.secret()

    def at(self, position: int) -> Queries:
        """Who answers the same questions of the log as it was when that was its last position."""
        return Queries(self.log.at(position))

    def rollout(self, rollout_id: str) -> Rollout:
        """The rollout of that id, with the attempt that counts if there was one."""
        self.check([rollout_id])
        return self.made(self.rollout_rows([rollout_id]))[0]

    def attempts(self, rollout_id: str, page: Page | None = None) -> PaginatedResult[Attempt]:
        """All tries at a rollout."""
        self.check([rollout_id])
        return super().attempts(rollout_id, page)

    def attempt(self, rollout_id: str, attempt_id: str) -> Attempt:
        """That try at the rollout."""
        found = [one for one in self._attempts([attempt_id]) if one.rollout_id == rollout_id]
        if not found:
            raise UnknownId("attempt", attempt_id)
        return found[0]

    def latest_attempt(self, rollout_id: str) -> str | None:
        """The attempt that counts, if there was one."""
        self.check([rollout_id])
        latest: str | None = self.log.rows("select attempt_id from rollouts where rollout_id = ?", (rollout_id,))[0][0]
        return latest

    def outcomes(
        self, rollout_ids: Sequence[str], tasks: Mapping[str, Any] | None = None, *, as_of: int | None = None
    ) -> list[Outcome]:
        """What came of each, in the order asked, deleted ones too; `tasks` spares reading the inputs back.

        `as_of` is the position up to which the log is read.
        """
        self.check(rollout_ids, hidden=True, as_of=as_of)
        if tasks is None:
            tasks = {rollout.rollout_id: rollout.input for rollout in self.made(self.rollout_rows(rollout_ids))}
        sql = (
            f"select rollout_id, task_id, repeat, status, exit_status, {REWARD} from rollouts r "  # noqa: S608
            "where rollout_id in (select value from json_each(?))"
        )
        found = {
            rollout_id: Outcome(
                rollout_id=rollout_id, task_id=task, repeat=repeat, status=status, exit_status=exit_status,
                task=tasks[rollout_id], reward=reward,
            )
            for rollout_id, task, repeat, status, exit_status, reward in self.log.rows(sql, (many(rollout_ids),))
        }  # fmt: skip
        if as_of is not None:
            # Asked after the tables: of what came between, these know nothing, or the trace does.
            found |= self._outcomes_then(self._grown(rollout_ids, since=as_of), tasks, as_of)
        return [found[rollout_id] for rollout_id in rollout_ids]

    def _grown(self, rollout_ids: Sequence[str], *, since: int) -> list[str]:
        return [rollout_id for (rollout_id,) in self.log.rows(_GROWN, (many(rollout_ids), since))]

    def _outcomes_then(self, rollout_ids: Sequence[str], tasks: Mapping[str, Any], as_of: int) -> dict[str, Outcome]:
        """By their traces: the tables are of the head."""
        return {
            trace.rollout_id: Outcome(
                rollout_id=trace.rollout_id, task_id=trace.task_id, repeat=trace.repeat,
                status=cast("RolloutStatus", trace.status), exit_status=trace.exit_status,
                task=tasks[trace.rollout_id], reward=trace.reward,
            )
            for trace in self.traces(rollout_ids, as_of=as_of)
        }  # fmt: skip

    def traces(self, rollout_ids: Iterable[str], *, as_of: int | None = None) -> list[Trace]:
        """What each rollout left in the log, for adapters; deleted ones too: facts stay.

        `as_of` is the position up to which the log is read: what came later, a reward or its withdrawal, is not there.
        """
        ids = list(rollout_ids)
        self.check(ids, hidden=True, as_of=as_of)
        return list(traces(self.log.read(stream=f"rollout/{rollout_id}", until=as_of) for rollout_id in ids))

    def check(self, rollout_ids: Sequence[str], *, hidden: bool = False, as_of: int | None = None) -> None:
        """All of them exist; `UnknownId` names the first that does not. Deleted ones do when `hidden`."""
        known = {rollout_id for (rollout_id,) in self.log.rows(_KNOWN, (many(rollout_ids), hidden, as_of))}
        for rollout_id in rollout_ids:
            if rollout_id not in known:
                raise UnknownId("rollout", rollout_id)

    def totals(self) -> dict[str, int]:
        """How many there are of each; what belongs to deleted rollouts does not count."""
        counts = {
            "total_rollouts": "select coalesce(sum(rollouts), 0) from tallies",
            "total_attempts": "select count(*) - (select count(*) from attempts join hidden using (rollout_id)) "
            "from attempts",
            "total_spans": "select count(*) - (select count(*) from spans join hidden using (rollout_id)) from spans",
            "total_resources": "select count(distinct resources_id) from resources",
            "total_workers": "select count(*) from workers where left_at is null",
        }
        return {name: int(self.log.rows(_DELETED + sql)[0][0]) for name, sql in counts.items()}

    def finished(self, rollout_ids: Sequence[str]) -> set[str]:
        """Which of them no further attempt will be made at."""
        sql = (
            "select rollout_id from rollouts where rollout_id in (select value from json_each(?)) "
            "and (hidden or status in ('succeeded', 'failed', 'cancelled'))"
        )
        return {rollout_id for (rollout_id,) in self.log.rows(sql, (many(rollout_ids),))}

    def resources(self, resources_id: str, version: int | None = None) -> ResourcesUpdate:
        """A version of a bundle; the newest when none is named."""
        return promoting.version(self.log, resources_id, version)

    def promotions(self, *, run_id: str | None = None, resources_id: str | None = None) -> list[Promotion]:
        """What was declared the best, in order, of one run or one bundle if that is said; the last one counts."""
        return promoting.promotions(self.log, run_id=run_id, resources_id=resources_id)

    def promoted(self, *, run_id: str | None = None, resources_id: str | None = None) -> ResourcesUpdate:
        """The version that counts as the best; raises `NothingPromoted` when none does."""
        found = self.promotions(run_id=run_id, resources_id=resources_id)
        if not found:
            raise NothingPromoted(run_id or resources_id or "this log")
        return self.resources(found[-1].resources_id, found[-1].version)

    def promoted_before(self, *, run_id: str | None = None, resources_id: str | None = None) -> ResourcesUpdate:
        """The version to go back to: promoted before the one that counts; at last, the one that all began with.

        Raises `NothingPromoted`, and `BadValue` where there is none before it.
        """
        found = self.promotions(run_id=run_id, resources_id=resources_id)
        if not found:
            raise NothingPromoted(run_id or resources_id or "this log")
        first = self.lineage(self.resources(found[0].resources_id, found[0].version))[-1]
        earlier = promoting.before([f"{first.resources_id}@{first.version}", *(one.name for one in found)])
        if earlier is None:
            why = "nothing was promoted before it, and it came from no other: name the version that is to be"
            raise BadValue("version", found[-1].name, why=why)
        id_, _, number = earlier.rpartition("@")
        return self.resources(id_, int(number))

    def lineage(self, of: ResourcesUpdate) -> list[ResourcesUpdate]:
        """The version, the one it was derived from, and so on to the one that came from none."""
        return promoting.lineage(self.log, of)

    def latest_resources(self) -> ResourcesUpdate | None:
        """The bundle that came out last, if any did."""
        found = self.log.rows(
            "select resources_id, version, parent, why, data, created_at from resources order by position desc limit 1"
        )
        return bundle(found[0]) if found else None

    def admission(self, rollout_id: str, attempt_id: str) -> Admission:
        """What the gateway must know of an attempt. One indexed read."""
        found = self.log.rows(
            "select r.run_id, r.task_id, r.repeat, r.mode, r.metadata, n.seed, a.status, "
            "r.attempt_id = a.attempt_id and r.status in ('preparing', 'running') "
            "from attempts a join rollouts r using (rollout_id) left join runs n using (run_id) "
            "where a.attempt_id = ? and a.rollout_id = ?",
            (attempt_id, rollout_id),
        )
        if not found:
            raise UnknownId("attempt", attempt_id)
        run_id, task_id, repeat, mode, metadata, seed, status, is_current = found[0]
        return Admission(
            run_id=run_id, rollout_id=rollout_id, attempt_id=attempt_id, task_id=task_id, repeat=repeat, mode=mode,
            seed=seed, key=self.attempt_key(attempt_id), judge_key=self.judge_key(attempt_id),
            is_open=bool(is_current) and status in {"preparing", "running"},
            sampling=msgspec.json.decode(metadata).get("sampling", {}),
        )  # fmt: skip

    def run_admission(self, run_id: str) -> Admission:
        """What the gateway must know of a run whose algorithm asks a model."""
        if not self.log.rows("select 1 from runs where run_id = ?", (run_id,)):
            raise UnknownId("run", run_id)
        return Admission(
            run_id=run_id, rollout_id="", attempt_id="", task_id="", repeat=0, mode=None, seed=None,
            key=self.run_key(run_id), is_open=True,
        )  # fmt: skip

    def run_key(self, run_id: str) -> str:
        """The token that the algorithm of a run shows at the gateway."""
        return self._token(f"run/{run_id}")

    def attempt_key(self, attempt_id: str) -> str:
        """The token an attempt shows at the gateway: made from the log's own key, and stored nowhere."""
        return self._token(attempt_id)

    def judge_key(self, attempt_id: str) -> str:
        """The token that judges of an attempt show: what is asked with it is a judge's, whenever it is asked."""
        return self._token(f"judge/{attempt_id}")

    def _token(self, of: str) -> str:
        return "agl-" + hmac.new(self._secret, of.encode(), blake2b).hexdigest()[:48]
