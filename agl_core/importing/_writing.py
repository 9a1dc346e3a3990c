"""Stories into a log: each whole or not at all, once however often it comes, under a run that has a name."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from agl_core.errors import AglError, ImportChanged, KeyReused, LogError
from agl_core.events import Component, RolloutEnqueued, RunFinished, RunStarted
from agl_core.importing._story import ACTOR, Reading, Refused, Story, derived
from agl_core.log import Decide, SqliteLog, View
from agl_core.record import Draft, Record

__all__ = ["Imported", "run_of", "write"]

_AT_ONCE = 64
"""Stories on their way into the log; what is submitted together shares a transaction."""
_SHOWN = 10_000
"""Reasons that are kept; more are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of a source."""

    run_id: str
    """The run that its rollouts are in. It is in the log where anything of the source is."""
    rollouts: int = 0
    """That were not there before."""
    known: int = 0
    """Rollouts of it that were there before; what a source has more to say of them now is among the facts."""
    facts: int = 0
    """That were written, those of the run included."""
    refused: int = 0
    reasons: tuple[Refused, ...] = field(default=(), repr=False)
    """Why each was refused; of very many, the first."""


def run_of(format: str, name: str) -> str:
    """The run that what is imported of that name lies in: the same each time."""
    return derived("run", format, name)


def write(
    log: SqliteLog,
    reading: Reading,
    *,
    format: str,
    name: str,
    progress: Callable[[int, int | None], None] = lambda _done, _of: None,
) -> Imported:
    """Write what is read. What the log refuses of it is a reason, and the rest goes on.

    A process that dies on the way leaves whole stories; who reads the source again adds the others.
    """
    return _Writing(log, format, name, progress).all(reading)


class _Writing:
    def __init__(self, log: SqliteLog, format: str, name: str, progress: Callable[[int, int | None], None]) -> None:
        self._log, self._progress = log, progress
        self._run_id = run_of(format, name)
        self._began = _run_draft(
            RunStarted(
                run_id=self._run_id,
                agent=Component(name="imported", importable=False, why="its rollouts were made elsewhere"),
                algorithm=Component(
                    name="import",
                    config={"format": format, "name": name},
                    importable=False,
                    why="nothing was learned: its rollouts were imported",
                ),
                resumable=False,
            ),
            self._run_id,  # the key by which `agl resume` finds a run
        )
        self._pending: deque[tuple[Story, Future[Sequence[Record]]]] = deque()
        self._rollouts = self._known = self._facts = self._refused = self._done = 0
        self._reasons: list[Refused] = []

    def all(self, reading: Reading) -> Imported:
        try:
            for one in reading:
                if isinstance(one, Refused):
                    self._refuse(one)
                    continue
                self._pending.append((one, self._log.submit(self._decided(one))))
                if len(self._pending) >= _AT_ONCE:
                    self._settle()
        finally:
            while self._pending:
                self._settle()
        self._facts += len(self._log.transact(self._end))
        return Imported(
            run_id=self._run_id,
            rollouts=self._rollouts,
            known=self._known,
            facts=self._facts,
            refused=self._refused,
            reasons=tuple(self._reasons),
        )

    def _decided(self, story: Story) -> Decide:
        def decide(view: View) -> Sequence[Draft]:
            fresh = _fresh(view, story)
            return [*([] if not fresh or _is_there(view, self._began) else [self._began]), *fresh]

        return decide

    def _settle(self) -> None:
        story, future = self._pending.popleft()
        try:
            records = future.result()
        except AglError as error:
            if isinstance(error, LogError) and not isinstance(error, KeyReused):
                raise  # the log can take nothing, not this one thing
            self._refuse(Refused.of(story.where, error))
            return
        self._facts += len(records)
        fresh = sum(isinstance(record.event, RolloutEnqueued) for record in records)
        self._rollouts += fresh
        self._known += sum(isinstance(draft.event, RolloutEnqueued) for draft in story.drafts) - fresh
        self._went()

    def _refuse(self, refused: Refused) -> None:
        self._refused += 1
        if len(self._reasons) < _SHOWN:
            self._reasons.append(refused)
        self._went()

    def _went(self) -> None:
        self._done += 1
        self._progress(self._done, None)

    def _end(self, view: View) -> Sequence[Draft]:
        """The run is over when it was begun: what comes later, of a source that has grown, is in it all the same."""
        end = _run_draft(RunFinished(run_id=self._run_id), f"{self._run_id}/finished")
        return [end] if _is_there(view, self._began) and not _is_there(view, end) else []


def _run_draft(event: RunStarted | RunFinished, key: str) -> Draft:
    return Draft(
        stream=f"run/{event.run_id}",
        event=event,
        key=key,
        correlation_id=event.run_id,
        actor=ACTOR,
    )


def _is_there(view: View, draft: Draft) -> bool:
    return bool(view.rows("select 1 from events where key = ?", (draft.key,)))


def _fresh(view: View, story: Story) -> list[Draft]:
    """What the log does not have; `ImportChanged` where it has another story of that name."""
    drafts: dict[str | None, Draft] = {}
    for draft in story.drafts:
        drafts.setdefault(draft.key, draft)
    known: dict[str, str | None] = dict(view.rows(_KNOWN, (json.dumps(list(drafts)),)))
    if story.digest is not None:
        for key, before in known.items():
            event = drafts[key].event
            if isinstance(event, RolloutEnqueued) and before != story.digest:
                raise ImportChanged(story.where, rollout_id=event.rollout_id)
    return [draft for key, draft in drafts.items() if key not in known]


_KNOWN = (
    "select key, json_extract(data, '$.metadata.import.digest') from events "
    "where key in (select value from json_each(?))"
)
