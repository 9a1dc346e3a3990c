"""The first rollout of a run goes alone, and is looked at before the others are begun."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from agl_core.errors import AgentFailed, AglError, PlaceholderMissing
from agl_core.events import StepRecorded
from agl_core.ids import canonical, content_id
from agl_core.log import SqliteLog
from agl_core.preflight._codes import page_of
from agl_core.preflight._evidence import Evidence, compared, faults, gathered
from agl_core.preflight._needs import Need
from agl_core.record import Draft
from agl_core.run import Failures
from agl_core.runner import Runner
from agl_core.store import Store
from agl_core.tap import STRAYS

__all__ = ["Preflight", "judge"]

_IN_A_ROW = 3
"""So many failed attempts in a row stop a run: one may be bad luck."""
_A_FEW = 8
"""So many more of the same runner, and rewards are compared."""
_log = logging.getLogger(__name__)


class Preflight:
    """Lets one runner go, and the others when what it brought back is fine.

    It costs no rollout: the one that is looked at is the run's own first. What came of it is a `step.recorded` of the
    run, labelled `preflight`; a run that has one is not looked at again.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        needs: Iterable[Need],
        *,
        failures: Failures | None = None,
        only_warns: bool = False,
        patience: float = 60.0,
    ) -> None:
        self._store, self._run_id, self._needs, self._only_warns = store, run_id, frozenset(needs), only_warns
        self._failures = failures or Failures()
        """What becomes of an attempt by how it ended: where it counts, it is looked at as any other."""
        self._patience = patience
        """Seconds after which it is said that the first rollout keeps the others waiting."""
        self._cleared: Future[None] = Future()
        self._warned: list[str] = []

    @staticmethod
    def was_made(log: SqliteLog, run_id: str) -> bool:
        """Whether the run's log says that it was looked at, or that nobody wanted it to be."""
        return log.get(_key(run_id)) is not None

    async def skip(self) -> None:
        """Say that nobody wants the run to be looked at, so that a resume does not either."""
        await self._record(skipped=True)

    async def cleared(self) -> None:
        """Wait until the others may go."""
        await asyncio.wait([asyncio.wrap_future(self._cleared)])  # which leaves the future alone when it is cancelled

    async def scout(self, runner: Runner[Any]) -> AglError | None:
        """Have `runner` take rollouts one at a time until one tells: what is wrong, or None when all may go.

        Afterwards `runner` goes on as any other, with what is left of its share.
        """
        slow = asyncio.get_running_loop().call_later(self._patience, self._say_slow, runner.worker_id)
        try:
            stop = await self._first(runner)
        finally:
            slow.cancel()
        if stop is not None:
            return stop
        if not self._cleared.done():
            self._cleared.set_result(None)
        if await _take(runner, _A_FEW):
            self._compare()
        return None

    async def _first(self, runner: Runner[Any]) -> AglError | None:
        failures = 0
        while not self._is_done(runner):
            await _take(runner, 1)
            seen = await self._brought(runner.worker_id)
            if seen is None:
                continue
            found = faults(seen, self._needs)
            failures = failures + 1 if not seen.ended else 0
            if found and failures and failures < _IN_A_ROW and not isinstance(found[0], PlaceholderMissing):
                _log.warning("%s failed before anything could be told of it: %s", seen.rollout_id, seen.error)
                continue
            if (stop := self._judged(found, seen, failures)) is not None:
                return stop
            await self._record(rollout_id=seen.rollout_id)
            break
        return None

    def _judged(self, found: list[AglError], seen: Evidence, failures: int) -> AglError | None:
        if failures > 1 and isinstance(found[0], AgentFailed):
            found = [AgentFailed(failures, why=found[0].why, example=seen.rollout_id)]
        stop = judge(found, only_warns=self._only_warns)
        self._warned += [error.code for error in found]
        return stop

    async def _brought(self, worker_id: str) -> Evidence | None:
        """What the runner's last attempt shows, when it is one at a rollout of this run."""
        rows = self._store.log.rows(
            "select a.attempt_id, r.rollout_id from attempts a join rollouts r using (rollout_id) "
            "where a.worker_id = ? and r.run_id = ? order by a.started_at desc, a.sequence desc limit 1",
            (worker_id, self._run_id),
        )
        if not rows:
            return None
        attempt_id, rollout_id = rows[0]
        await self._store.wait([rollout_id], timeout=0)  # its end is told to hooks: one of them may give its reward
        return gathered(self._store, attempt_id, strays=STRAYS.count, failures=self._failures)

    def _say_slow(self, worker_id: str) -> None:
        sql = "select rollout_id from attempts where worker_id = ? and exit_status is null"
        for (rollout_id,) in self._store.log.rows(sql, (worker_id,)):
            _log.warning(
                "%s has not ended after %g s, and the others wait for it: a time-out (`--timeout`) would stop it",
                rollout_id,
                self._patience,
            )

    def _compare(self) -> None:
        rows = self._store.log.rows(
            "select value from rewards join rollouts using (rollout_id) where run_id = ? and mode = 'train' "
            "and name = 'primary' and target_kind = 'rollout' and withdrawn = 0",
            (self._run_id,),
        )
        if (found := compared([value for (value,) in rows])) is not None:
            _log.warning("[%s] %s", found.code, found)

    def _is_done(self, runner: Runner[Any]) -> bool:
        return runner.max_rollouts is not None and runner.max_rollouts <= 0

    async def _record(self, **result: Any) -> None:
        event = StepRecorded(
            run_id=self._run_id,
            label="preflight",
            digest=content_id(canonical(sorted(self._needs))),
            result={**result, "needs": sorted(self._needs), "found": self._warned},
        )
        draft = Draft(
            stream=f"run/{self._run_id}", event=event, key=_key(self._run_id), correlation_id=self._run_id,
            actor="agl-core",
        )  # fmt: skip
        await self._store.log.soon([draft])


def judge(found: Iterable[AglError], *, only_warns: bool) -> AglError | None:
    """The first of what was found, to be raised, with the others as notes; None when nobody wants to be stopped."""
    errors = list(found)
    if only_warns:
        for error in errors:
            _log.warning("[%s] %s", error.code, error)
    if only_warns or not errors:
        return None
    first, *others = errors
    for error in others:
        first.add_note(f"and [{error.code}] {error}")
    if (page := page_of(first.code)) and page not in str(first):
        first.add_note(f"see {page}")
    first.add_note("to go on without this look: preflight=False, or --no-preflight")
    return first


async def _take(runner: Runner[Any], count: int) -> int:
    """Let the runner take so many of its share."""
    share = runner.max_rollouts
    runner.max_rollouts = count if share is None else min(share, count)
    try:
        taken = await runner.iter()
    finally:
        runner.max_rollouts = share
    runner.max_rollouts = None if share is None else share - taken
    return taken


def _key(run_id: str) -> str:
    return f"{run_id}/preflight"
