"""Where the wall time of a run went: into answers, into training, into loading weights, or into nothing of the kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from agl_core.log import SqliteLog

__all__ = ["WallTime", "wall_time"]

Span = tuple[int, int]
"""From and until, in nanoseconds."""
_SECOND = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class WallTime:
    """Seconds of a run, those between two lives of it left out.

    A run may generate and train at once, and then the seconds count for both: only `idle` is what all else leaves.
    """

    seconds: float = 0.0
    """All of them."""
    generating: float = 0.0
    """While a call of a policy was under way; one that waits for new weights is not."""
    training: float = 0.0
    """In stateful steps, `run.update`."""
    loading: float = 0.0
    """While a policy was held back and none of its calls was under way."""
    draining: float = 0.0
    """While one was held back until its calls had ended; they count as generating, too."""
    idle: float = 0.0
    """While nothing of that was going on: agents and judges at work, and everybody else waiting."""

    @property
    def shares(self) -> dict[str, float]:
        """Each part of all the seconds, by its name."""
        parts = ("generating", "training", "loading", "draining", "idle")
        return {name: getattr(self, name) / self.seconds if self.seconds else 0.0 for name in parts}

    @property
    def metrics(self) -> dict[str, float]:
        """`time/step` in seconds, and `time/<part>`, the share of it."""
        return {"time/step": self.seconds, **{f"time/{name}": share for name, share in self.shares.items()}}


def wall_time(log: SqliteLog, run_id: str, *, after: int = 0) -> WallTime:
    """What the facts of a run say of its time, of those after that position; from its start by default.

    Read from the log alone, so that old ones answer it too. Calls that are under way now count up to the last fact.
    """
    since = log.rows("select recorded_at, recorded_at from events where position = ?", (after,))
    seen = _Seen(lives=list(since))
    for row in log.rows(_FACTS, (after, run_id)):
        seen.take(*row)
    lives = seen.lives
    if not lives:
        return WallTime()
    calls = [*seen.calls, *((model, (began, lives[-1][1])) for began, model in log.rows(_UNDER_WAY, (run_id,)))]
    answers = _joined(_begun(calls, seen.pauses))
    pauses = _joined(span for spans in seen.pauses.values() for span in spans)
    draining = _length(_common(_common(pauses, answers), lives))
    busy = _joined([*answers, *seen.updates, *pauses])
    seconds = _length(lives)
    return WallTime(
        seconds=seconds,
        generating=_length(_common(answers, lives)),
        training=_length(_common(_joined(seen.updates), lives)),
        loading=max(0.0, _length(_common(pauses, lives)) - draining),
        draining=draining,
        idle=max(0.0, seconds - _length(_common(busy, lives))),
    )


_FACTS = """
select type, recorded_at, key, stream,
  json_extract(data, '$.seconds'), json_extract(data, '$.started_at'), json_extract(data, '$.latency'),
  coalesce(json_extract(data, '$.role'), 'policy'), json_extract(data, '$.status'), json_extract(data, '$.call.model')
from events
where position > ? and (correlation_id = ? or type in ('gateway.paused', 'gateway.resumed'))
order by position
"""
_UNDER_WAY = """
select json_extract(data, '$.started'), json_extract(data, '$.model')
from in_flight
where kind = 'call' and json_extract(data, '$.run_id') = ?
  and coalesce(json_extract(data, '$.role'), 'policy') = 'policy'
"""


@dataclass(slots=True)
class _Seen:
    """What the facts say, one after the other."""

    calls: list[tuple[str, Span]] = field(default_factory=list)
    """Of policies, each with its model."""
    updates: list[Span] = field(default_factory=list)
    pauses: dict[str, list[Span]] = field(default_factory=dict)
    """Of each model."""
    lives: list[Span] = field(default_factory=list)
    """When the run was at work, from the first fact of each process to its last."""
    _paused: dict[str, int] = field(default_factory=dict)

    def take(
        self, type_: str, at: int, key: str | None, stream: str, seconds: Any, began: Any, latency: Any, role: str,
        status: str | None, model: str | None,
    ) -> None:  # fmt: skip
        """One more."""
        match type_:
            case "gateway.paused":
                self._paused[stream.removeprefix("endpoint/")] = at
                return
            case "gateway.resumed":
                name = stream.removeprefix("endpoint/")
                if name in self._paused:
                    self.pauses.setdefault(name, []).append((self._paused.pop(name), at))
                return
            case "call.recorded" if began is not None and role == "policy" and status != "unknown":
                self.calls.append((str(model), (int(began), int(began + latency * _SECOND))))
            case "step.recorded" if seconds is not None and (key or "").split("/")[2:3] == ["update"]:
                self.updates.append((int(at - seconds * _SECOND), at))
        if type_ == "run.resumed" or not self.lives:
            self.lives.append((at, at))
        elif type_ != "attempt.expired" and status != "unknown":  # what is said of the dead is said by the next process
            self.lives[-1] = (self.lives[-1][0], at)


def _begun(calls: Iterable[tuple[str, Span]], pauses: dict[str, list[Span]]) -> Iterator[Span]:
    """The calls from when they could be answered: those that came during a pause waited for its end."""
    for model, (began, ended) in calls:
        name = model.partition("@")[0]
        opened = next((until for since, until in pauses.get(name, ()) if since <= began < until), began)
        if opened < ended:
            yield opened, ended


def _joined(spans: Iterable[Span]) -> list[Span]:
    """The same time, in spans that do not meet."""
    found: list[Span] = []
    for began, ended in sorted(spans):
        if found and began <= found[-1][1]:
            found[-1] = (found[-1][0], max(ended, found[-1][1]))
        else:
            found.append((began, ended))
    return found


def _common(some: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """The time that both have, each in order and in spans that do not meet."""
    found, place = [], 0
    for began, ended in some:
        while place < len(others) and others[place][1] <= began:
            place += 1
        for other_began, other_ended in others[place:]:
            if other_began >= ended:
                break
            found.append((max(began, other_began), min(ended, other_ended)))
    return found


def _length(spans: Iterable[Span]) -> float:
    return sum(ended - began for began, ended in spans) / _SECOND
