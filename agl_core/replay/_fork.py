"""Forks of a rollout: its first model calls come from the log, and from there on models are asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from agl_core.errors import BadValue, NotReplayable, ReplayError, ReplayUnmatched
from agl_core.events import CallRecorded, ModelCall, ReplayDeparted, ReplayFinished
from agl_core.gateway import Question
from agl_core.ids import content_id, new_id
from agl_core.log import SqliteLog
from agl_core.record import Draft
from agl_core.recorder import ToolAnswer, ToolAsked, ToolWay
from agl_core.replay._alike import plain
from agl_core.replay._forms import Form
from agl_core.replay._matching import Asked, Matcher
from agl_core.replay._tape import Tape
from agl_core.replay._tool_tape import ToolTape, came_as
from agl_core.replay._tools import RecordedTools

__all__ = ["Branch", "Fork", "Past"]

_AGAIN = "`agl rollouts rerun` does it again from its beginning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What all forks of a rollout have in common: the first calls of its log, and the tools that ran up to there."""

    source: str
    head: int
    """Position up to which it was read."""
    tape: Tape
    """All of its calls, in the order in which the log has them: that of their answers."""
    count: int
    """So many of them are answered from the log."""
    tools: ToolTape
    """Those that began before any later call had been answered: they cannot have known of one."""
    later: ToolTape

    @classmethod
    def of(cls, log: SqliteLog, rollout_id: str, count: int, *, until: int | None = None) -> Past:
        """Read it; raises `NotReplayable` for a rollout that has nothing to be forked, `BadValue` for a later step."""
        tape = Tape.of(log, rollout_id, until=until)
        what = f"rollout {rollout_id}"
        if not (tape.is_over or Tape.of(log, rollout_id).is_over):
            raise NotReplayable(what, why="it has not come to its end", cure="Wait for that, or give it up")
        if not tape.calls:
            raise NotReplayable(what, why="it made no model call", cure=_AGAIN[0].upper() + _AGAIN[1:])
        if count > len(tape):
            calls = "1 model call" if len(tape) == 1 else f"{len(tape)} model calls"
            raise BadValue("--fork-at", count, why=f"the rollout made {calls}: give 0 to {len(tape)}")
        unknown = [one.call_id for one in tape.calls[:count] if one.call.status == "unknown"]
        if unknown:
            why = f"nobody knows what was answered to {unknown[0]}, which is among its first {count} calls"
            raise NotReplayable(what, why=why, cure="Fork before it")
        answered = min((one.ended_at for one in tape.calls[count:]), default=None)
        tools = ToolTape.of(log, rollout_id, tape.attempt_id, until=until).calls
        early = tuple(one for one in tools if answered is None or one.span.started_at < answered)
        return cls(
            source=log.url,
            head=log.head() if until is None else until,
            tape=tape,
            count=count,
            tools=ToolTape(early),
            later=ToolTape(tuple(one for one in tools if one not in early)),
        )

    @property
    def ids(self) -> frozenset[str]:
        """Of the calls that are answered from the log."""
        return frozenset(one.call_id for one in self.tape.calls[: self.count])


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How a fork is to be compared with its parent."""

    explained: Sequence[Form] = ()
    ways: Mapping[str, ToolWay] = field(default_factory=dict)
    ignore: Sequence[str] = ()
    strict: bool = False
    redact: Callable[[Draft], Draft] = lambda draft: draft


class Branch:
    """One fork. It is a `Replaying`, for any thread; `recall` is for one loop.

    Up to its first live call, whatever is asked must be what was asked then. After that, what is like nothing of then
    may come of a live answer: it is live, too.
    """

    is_timed = True

    def __init__(self, past: Past, told: Told, note: Callable[[ReplayDeparted], Future[Any]], rollout_id: str) -> None:
        self.past, self.rollout_id, self.replay_id = past, rollout_id, new_id("rp")
        self.departed: Future[None] = Future()
        self.live = 0
        """Model calls that a model was asked."""
        self.shows_change = False
        """Whether a request of it was another one than then, by what was declared to be."""
        self._note, self._told, self._ids = note, told, past.ids
        self._matcher = Matcher(past.tape, strict=told.strict, ignore=told.ignore, explained=told.explained)
        self._tools = RecordedTools(past.tools, ways=told.ways, redact=told.redact, origin=self._origin)
        self._later = RecordedTools(past.later, redact=told.redact)
        self._given: dict[str, CallRecorded] = {}
        self._origins: dict[str, str] = {}
        self._lock = threading.Lock()

    async def recall(self, question: Question) -> CallRecorded | None:
        """The recorded call, of the first ones; None of what a model is to be asked."""
        if question.role is not None:  # a judge, who was never part of it
            return None
        if len(self._given) == len(self._ids):
            self.live += 1
            return None
        call = self._redacted(question.call)
        asked = Asked(
            call_id=question.call_id,
            call=call,
            agent=question.agent,
            parent_call_id=question.parent_call_id,
            place=question.place,
            retry=question.retry,
        )
        try:
            found = await self._matcher.match(asked)
        except ReplayError as error:
            if self._is_live(error):
                self.live += 1
                return None
            await asyncio.wrap_future(self._depart(error))
            raise
        self.shows_change = self.shows_change or plain(call) != plain(found.call)
        if found.call_id not in self._ids:
            self.live += 1
            return None
        self._given[found.call_id] = found
        if (origin := self._matcher.origin(question.call_id)) is not None:
            self._origins[question.call_id] = origin
        return found

    def tool(self, asked: ToolAsked) -> ToolAnswer:
        """Which of the recorded calls it is; live, where it is none of those up to the fork."""
        if self._told.ways.get(asked.name, asked.way) == "live":
            return ToolAnswer(way="live")
        try:
            return self._tools.tool(asked)
        except ReplayError as error:
            if self.live or self._is_later(asked):
                return ToolAnswer(way="live")
            self.depart(error)
            raise

    def compared(self, asked: ToolAsked, answer: ToolAnswer, came: Mapping[str, Any]) -> None:
        """`ReplayDiffers` where a tool that ran again, up to the fork, came to something else."""
        try:
            self._tools.compared(asked, answer, came)
        except ReplayError as error:
            self.depart(error)
            raise

    def depart(self, error: ReplayError) -> None:
        """It is no fork of that rollout any more, and stops here."""
        self._depart(error).result()

    def unasked(self) -> list[str]:
        """Of the first calls, those that it never asked for."""
        return [one.call_id for one in self.past.tape.calls[: self.past.count] if one.call_id not in self._given]

    def finished(self, differs: Mapping[str, Any]) -> ReplayFinished:
        """How it ended; one that did not ask for all of the first calls is no fork, and departs here."""
        if (left := self.unasked()) and not self.departed.done():
            why = f"it came to its end without asking for {len(left)} of the first {self.past.count} ({left[0]})"
            self.depart(ReplayUnmatched(f"rollout {self.rollout_id}", why=why))
        return ReplayFinished(
            replay_id=self.replay_id,
            rollout_id=self.rollout_id,
            outcome="departed" if self.departed.done() else "forked",
            answered=len(self._given),
            live=self.live,
            tools=self._tools.answered,
            prefix=self.prefix(),
            differs={**differs, **({"unasked": left} if left else {})},
        )

    def prefix(self) -> str | None:
        """Hash of all that was answered from the log, in the log's order; None where nothing was to be."""
        if not self.past.count:
            return None
        left = {one.span_id for one in self._tools.left()}
        calls = (one.call for one in self.past.tape.calls if one.call_id in self._given)
        tools = (one for one in self.past.tools.calls if one.span_id not in left)
        said = [*map(_heard, calls), *([one.span_id, came_as(one.said)] for one in tools)]
        return content_id(msgspec.json.encode(said, order="deterministic"))

    def _is_live(self, error: ReplayError) -> bool:
        """Whether what is no call of then, or may be several, is asked after the fork all the same."""
        candidates = frozenset(error.facts.get("candidates", ()))
        return self._ids.isdisjoint(candidates) and bool(candidates or self.live)

    def _origin(self, call_id: str) -> str | None:
        return self._origins.get(call_id)

    def _is_later(self, asked: ToolAsked) -> bool:
        """Whether it was called then, too, and after the fork."""
        try:
            self._later.tool(replace(asked, way="pure"))
        except ReplayError:
            return False
        return True

    def _redacted(self, call: ModelCall) -> ModelCall:
        """As the log that is read would have kept it."""
        event = CallRecorded(call_id="", rollout_id="", attempt_id="", call=call, started_at=0, latency=0.0)
        kept = self._told.redact(Draft(stream="log", event=event)).event
        return kept.call if isinstance(kept, CallRecorded) else call

    def _depart(self, error: ReplayError) -> Future[Any]:
        """It is no fork of that rollout any more: said, and stopped, once."""
        with self._lock:
            if self.departed.done():
                done: Future[Any] = Future()
                done.set_result(None)
                return done
            self.departed.set_exception(error)
        return self._note(
            ReplayDeparted(
                replay_id=self.replay_id,
                rollout_id=self.rollout_id,
                code=error.code,
                why=str(error),
                recorded=error.facts.get("recorded"),
                difference=tuple(error.facts.get("difference", ())),
            )
        )


class Fork:
    """The forks of a rollout, each by its attempt. It is a gateway's `Memory`."""

    models: Collection[str] = ()

    def __init__(self, past: Past, told: Told) -> None:
        self.past, self.told = past, told
        self._branches: dict[str, Branch] = {}
        self._log: SqliteLog | None = None
        self._lock = threading.Lock()

    def write_to(self, log: SqliteLog) -> None:
        """Say where forks are written down; before the first of them begins."""
        self._log = log

    def branch(self, rollout_id: str, attempt_id: str) -> Branch:
        """The fork that the attempt is."""
        with self._lock:
            if attempt_id not in self._branches:
                self._branches[attempt_id] = Branch(self.past, self.told, self.note, rollout_id)
            return self._branches[attempt_id]

    @property
    def branches(self) -> Iterable[Branch]:
        """All of them, as they began."""
        return tuple(self._branches.values())

    async def recall(self, question: Question) -> CallRecorded | None:
        """As the fork has it that asks."""
        admission = question.admission
        if not admission.attempt_id:
            return None
        return await self.branch(admission.rollout_id, admission.attempt_id).recall(question)

    def note(self, event: Any) -> Future[Any]:
        """Write it down with the fork that it is of."""
        assert self._log is not None
        return self._log.submit([Draft(stream=f"rollout/{event.rollout_id}", event=event, actor="agl-core replay")])


def _heard(call: CallRecorded) -> list[Any]:
    told = msgspec.to_builtins(call.call.choices)
    return [call.call_id, call.status, call.error, call.http_status, told, call.call.extra.get("$response")]
