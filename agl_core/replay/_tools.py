"""Tools in a replay: which recorded call each is, by what it is given and where it stands, never by when it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import replace
from typing import Any, NoReturn, get_args

from agl_core.emit import tool_words as words
from agl_core.emit.semconv import ToolAttributes
from agl_core.errors import BadValue, ReplayAmbiguous, ReplayDiffers, ReplayError, ReplayUnmatched
from agl_core.events import CallRecorded, SpanRecorded
from agl_core.record import Draft
from agl_core.recorder import ToolAnswer, ToolAsked, ToolWay
from agl_core.replay._alike import Alike, Renaming, Shape
from agl_core.replay._tool_tape import ToolTape, ToolTaped, came_as, given_as

__all__ = ["RecordedTools", "tool_ways"]

Redact = Callable[[Draft], Draft]
_TICK = 1_000_000
"""Nanoseconds by which two readings of one clock may be apart."""


class RecordedTools:
    """Gives each recorded call of a tool once. It is a `Replaying`, for any thread.

    A call is a recorded one when both have the same tool and the same arguments; dates, times and ids in them may
    differ as those of requests may, see `Alike`. Where it is known which model call led to both, that is the same too.
    Of several, it is the next one of the branch of the agent's program that it stands in; or any, if all came to the
    same; or the next one, if they came one after the other, then and now. Else nobody knows, and that is said.

    `ways` overrules what tools declare, by their names. `origin` says which recorded model call one of the replay is.
    `redact` is what the log that is read does to what it keeps. `departed` fails with the first error, whatever the
    agent makes of that.
    """

    def __init__(
        self,
        tape: ToolTape,
        *,
        ways: Mapping[str, ToolWay] | None = None,
        alike: Alike | None = None,
        renaming: Renaming | None = None,
        origin: Callable[[str], str | None] = lambda _call_id: None,
        redact: Redact = lambda draft: draft,
        departed: Future[None] | None = None,
    ) -> None:
        self.tape = tape
        self._ways = dict(ways or {})
        self._alike, self._renaming = alike or Alike(), renaming or Renaming()
        self._origin, self._redact = origin, redact
        self.is_timed = True
        self.departed: Future[None] = Future() if departed is None else departed
        self._named: dict[str, list[ToolTaped]] = {}
        self._alike_to: dict[tuple[str, str], list[ToolTaped]] = {}
        for one in tape.calls:
            self._named.setdefault(one.name, []).append(one)
            self._alike_to.setdefault((one.name, self._alike.exact(given_as(one.said))), []).append(one)
        self._shapes: dict[str, Shape] = {}
        self._lock = threading.Lock()
        self._taken: dict[str, str | None] = {}
        """Recorded calls that were given, and the strand that asked for each."""
        self._within: set[str] = set()
        """Those that did not run: what was done in them is not done."""
        self.answered = 0
        """Calls that came to what is recorded, without being run."""

    def left(self) -> tuple[ToolTaped, ...]:
        """Recorded, and not asked for until now; without live tools, and what was done in those that did not run."""
        return tuple(one for one in self.tape.calls if self._is_free(one) and self._way(one.name, one.way) != "live")

    def covers(self, call: CallRecorded) -> bool:
        """Whether a recorded model call was made in a tool that does not run now: then nobody makes it again."""
        branch = None if call.place is None else call.place.rpartition(":")[0]
        ended_at = call.started_at + round(call.latency * 1e9)
        return any(
            one.span.started_at - _TICK <= call.started_at and ended_at <= one.span.ended_at + _TICK
            and (branch is None or one.place is None or _is_in(branch, one.place))
            for one in self.tape.calls
            if one.span_id in self._within
        )  # fmt: skip

    def tool(self, asked: ToolAsked) -> ToolAnswer:
        """Which of the recorded calls this is."""
        way = self._way(asked.name, asked.way)
        if way == "live":
            return ToolAnswer(way=way)
        try:
            asked = replace(asked, said=self._redacted(asked.said))
            with self._lock:
                found = self._found(asked)
                if way == "recorded":
                    words.outcome(found.said)  # raises where it cannot come again
                    self._within.add(found.span_id)
                    self.answered += 1
        except ReplayError as error:
            self.depart(error)
            raise
        return ToolAnswer(way=way, span_id=found.span_id, said=found.said)

    def compared(self, asked: ToolAsked, answer: ToolAnswer, came: Mapping[str, Any]) -> None:
        """`ReplayDiffers` where a tool that ran again came to something else."""
        now, then = came_as(self._redacted(came)), came_as(answer.said)
        if self._alike.exact(now) == self._alike.exact(then):
            return
        with self._lock:
            recorded, made = self._alike.shape(then), self._alike.shape(now)
            if self._renaming.fits(recorded, made):
                self._renaming.learn(recorded.ids, made.ids)
                return
        error = ReplayDiffers(
            f"what tool {asked.name!r}, declared `pure`, came to",
            recorded=answer.span_id or "",
            difference=self._alike.differences(then, now),
        )
        self.depart(error)
        raise error

    def depart(self, error: ReplayError) -> None:
        """It is not true any more."""
        with suppress(InvalidStateError):  # something else was not true before
            self.departed.set_exception(error)

    def _way(self, name: str, declared: ToolWay) -> ToolWay:
        return self._ways.get(name, declared)

    def _found(self, asked: ToolAsked) -> ToolTaped:
        own = self._named.get(asked.name, ())
        if not own:
            others = ", ".join(sorted(self._named))
            why = f"only these were called then: {others}" if others else "no tool that is marked was called then"
            raise ReplayUnmatched(_named(asked), why=why)
        same = self._same(asked, own)
        if not any(map(self._is_free, same)):
            self._differ(asked, own, same)
        group = self._led_alike(asked, same)
        found = self._chosen(asked, group)
        self._taken[found.span_id] = asked.said.get(ToolAttributes.STRAND)
        self._renaming.learn(self._shape(found).ids, self._alike.shape(given_as(asked.said)).ids)
        return found

    def _same(self, asked: ToolAsked, own: Sequence[ToolTaped]) -> list[ToolTaped]:
        """Recorded calls with these arguments, free or not: to the letter if there is one, else for all that counts."""
        now = given_as(asked.said)
        same = self._alike_to.get((asked.name, self._alike.exact(now)), [])
        if any(map(self._is_free, same)):
            return same
        shape = self._alike.shape(now)
        return [one for one in own if self._renaming.fits(self._shape(one), shape)]

    def _shape(self, one: ToolTaped) -> Shape:
        if one.span_id not in self._shapes:
            self._shapes[one.span_id] = self._alike.shape(given_as(one.said))
        return self._shapes[one.span_id]

    def _led_alike(self, asked: ToolAsked, same: Sequence[ToolTaped]) -> list[ToolTaped]:
        """Those that the same model call led to, where that is known of both; at least one is free."""
        call_id = self._origin(asked.call_id) if asked.call_id is not None else None
        if call_id is None:
            return list(same)
        group = [one for one in same if one.call_id == call_id]
        if not any(map(self._is_free, group)):
            group = [one for one in same if one.call_id is None]
        if not any(map(self._is_free, group)):
            nearest = next(filter(self._is_free, same))
            difference = {"at": "the model call that led to it", "recorded": nearest.call_id, "asked": call_id}
            raise ReplayDiffers(_named(asked), recorded=nearest.span_id, difference=[difference])
        return group

    def _chosen(self, asked: ToolAsked, group: Sequence[ToolTaped]) -> ToolTaped:
        """The one of several alike that stands there; at least one is free."""
        free = [one for one in group if self._is_free(one)]
        if len(group) == 1:
            return free[0]
        if asked.place is not None and any(one.place == asked.place for one in group):
            there = [one for one in free if one.place == asked.place]
            if not there:
                raise ReplayUnmatched(_named(asked), why="it was not called so often in that branch of the program")
            return there[0]
        if len({self._alike.exact(came_as(one.said)) for one in group}) == 1:
            return free[0]
        strands = {one.strand for one in group}
        now = {asked.said.get(ToolAttributes.STRAND), *(self._taken[one.span_id] for one in group if one not in free)}
        if len(strands) == len(now) == 1 and None not in strands | now:
            return free[0]
        why = "nothing tells which of them came first, or which branch of the program is this one's"
        raise ReplayAmbiguous(_named(asked), candidates=[one.span_id for one in free], why=why)

    def _differ(self, asked: ToolAsked, own: Sequence[ToolTaped], same: Sequence[ToolTaped]) -> NoReturn:
        """No free call is this one: say what comes nearest."""
        free = [one for one in own if self._is_free(one)]
        if same and len(same) == len([one for one in same if one.span_id in self._taken]):
            times = f"{len(same)} times" if len(same) > 1 else "once"
            why = f"it was called {times} with these arguments then ({same[-1].span_id}), and now once more"
            raise ReplayUnmatched(_named(asked), why=why)
        if not free:
            raise ReplayUnmatched(_named(asked), why=f"all {len(own)} calls of it were asked for before")
        call_id = self._origin(asked.call_id) if asked.call_id is not None else None
        led = [one for one in free if call_id is not None and one.call_id == call_id]
        nearest = (led or free)[0]
        difference = self._alike.differences(given_as(nearest.said), given_as(asked.said))
        raise ReplayDiffers(_named(asked), recorded=nearest.span_id, difference=difference)

    def _is_free(self, one: ToolTaped) -> bool:
        return one.span_id not in self._taken and not self._within.intersection(one.inside)

    def _redacted(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the log would have kept of it."""
        event = SpanRecorded(
            rollout_id="", attempt_id="", span_id="", name="", attributes=said, started_at=0, ended_at=0
        )
        kept = self._redact(Draft(stream="log", event=event)).event
        return kept.attributes if isinstance(kept, SpanRecorded) else said


def _is_in(branch: str, place: str) -> bool:
    return not place or branch == place or branch.startswith(f"{place}.")


def tool_ways(said: Sequence[str]) -> dict[str, ToolWay]:
    """What `--tool NAME=HOW` says, each."""
    found: dict[str, ToolWay] = {}
    for one in said:
        name, _, way = one.partition("=")
        if not name or way not in get_args(ToolWay):
            known = ", ".join(get_args(ToolWay))
            raise BadValue("--tool", one, why=f"it is NAME=HOW, where HOW is one of {known}")
        found[name] = way  # type: ignore[assignment]  # it is one of them
    return found


def _named(asked: ToolAsked) -> str:
    return f"a call of tool {asked.name!r}"
