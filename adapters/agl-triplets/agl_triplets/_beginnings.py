"""Why a call begins a row: what it follows by its words, and where it leaves that by its tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from agl_core.adapter import Words, words
from agl_core.events import CallRecorded, Message
from agl_triplets._prefixes import Path, common
from agl_triplets._segment import Beginning, Segment
from agl_triplets._words import is_cut, same

__all__ = ["WIDTH", "Beginnings"]

WIDTH = 8
"""Tokens that are kept of what a prompt leaves, from where it does."""

_LOOKED_AT = 8
"""Calls that ended in the same words: a bound, so that an agent that always says "ok" costs no more than another."""


class Beginnings:
    """Knows what was said so far in a rollout."""

    def __init__(self) -> None:
        self._said: defaultdict[tuple[str | None, Words], list[_Moment]] = defaultdict(list)
        self._latest: dict[str | None, _Moment] = {}

    def remember(self, segment: Segment) -> None:
        """The turn that `segment` took last."""
        moment = _Moment(segment, len(segment.turns) - 1)
        recorded, choice = segment.turns[-1]
        self._said[recorded.agent, words(choice.message)].append(moment)
        self._latest[recorded.agent] = moment

    def why(self, recorded: CallRecorded, path: Path[Segment]) -> Beginning:
        """Of a call that continues no row there is. Words decide where there are some: what was cut out of a history,
        or said in other words, cannot be told from tokens."""  # noqa: D205, D209 - one paragraph
        told = _told(recorded)
        if told and (moment := self._followed(recorded.agent, told)):
            return _other_tokens(moment, recorded)
        moment = self._nearest(recorded.agent, told) if told else None
        if moment and not _is_asked_again(told, moment):
            if is_cut(told, of=moment.history):
                return moment.left_by(recorded, "truncated")
            if _is_shared(told, moment):
                return moment.left_by(recorded, "edited_history")
        return _by_tokens(recorded, path)

    def _followed(self, agent: str | None, told: Sequence[Message]) -> _Moment | None:
        """The call whose history and answer are what was told."""
        moments = self._said.get((agent, words(told[-1])), [])
        return next((one for one in moments[: -_LOOKED_AT - 1 : -1] if same(one.history, told)), None)

    def _nearest(self, agent: str | None, told: Sequence[Message]) -> _Moment | None:
        """The agent's last call that was answered so; the last of all, where none was."""
        moments = self._said.get((agent, words(told[-1])))
        return moments[-1] if moments else self._latest.get(agent)


@dataclass(frozen=True, slots=True)
class _Moment:
    """Right after a turn of a segment."""

    segment: Segment
    turn: int

    @property
    def history(self) -> Sequence[Message]:
        recorded, choice = self.segment.turns[self.turn]
        return (*recorded.call.messages, choice.message)

    def shared_with(self, recorded: CallRecorded) -> int:
        """How many tokens a prompt has in common with what there was."""
        return common(recorded.call.prompt_token_ids, self.segment.tokens[: self.segment.ends[self.turn]])

    def left_by(self, recorded: CallRecorded, why: str) -> Beginning:
        return _left(self.segment, self.shared_with(recorded), why)


def _told(recorded: CallRecorded) -> Sequence[Message]:
    """The history up to the last word of an assistant: what comes after it is new."""
    history = recorded.call.messages
    spoken = (index for index in reversed(range(len(history))) if history[index].role == "assistant")
    return history[: next(spoken, -1) + 1]


def _other_tokens(moment: _Moment, recorded: CallRecorded) -> Beginning:
    """Of a call that follows another one word by word."""
    segment, shared = moment.segment, moment.shared_with(recorded)
    if shared == segment.ends[moment.turn]:
        is_open = moment.turn == len(segment.turns) - 1
        return _left(segment, shared, "other_temperature" if is_open else "branched")
    return _left(segment, shared, "retokenised" if segment.is_spoken(shared) else "template")


def _is_asked_again(told: Sequence[Message], moment: _Moment) -> bool:
    """Whether the other call was told the same before it was answered: examples in a prompt, for one."""
    asked = moment.segment.turns[moment.turn][0].call.messages
    return same(told, asked[: len(told)])


def _is_shared(told: Sequence[Message], moment: _Moment) -> bool:
    """Whether it is the same conversation, however changed: any word of it but the instructions is in both."""
    known = {words(message) for message in moment.history if message.role not in {"system", "developer"}}
    return any(words(message) in known for message in told)


def _by_tokens(recorded: CallRecorded, path: Path[Segment]) -> Beginning:
    nearest, shared = path.nearest, path.shared
    if nearest is None:
        return Beginning("start")
    if nearest.turns[nearest.turn_at(shared)][0].agent != recorded.agent:
        return _left(nearest, shared, "other_agent")
    if any(node.ending for node in path.nodes):
        return _left(nearest, shared, "other_temperature")
    if any(node.ended for node in path.nodes):
        return _left(nearest, shared, "branched")
    return Beginning("start")


def _left(segment: Segment, at: int, why: str) -> Beginning:
    recorded, _ = segment.turns[segment.turn_at(at)]
    return Beginning(why, at, recorded.call_id, segment.tokens[at : at + WIDTH])
