"""Calls into segments: a call joins the segment whose tokens its prompt starts with, exactly; else it begins one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field

from agl_core.events import CallRecorded, Choice, Message
from agl_triplets._prefixes import Path, Prefixes, Tokens

__all__ = ["Segment", "merge", "separate", "temperature"]


@dataclass(slots=True)
class Segment:
    """A row in the making."""

    prompt_length: int
    temperature: float
    began: str
    differs_at: int | None = None
    tokens: Tokens = ()
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    turns: list[tuple[CallRecorded, Choice]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """Where each turn's last token is followed by the next prompt's own."""

    def take(self, recorded: CallRecorded, choice: Choice) -> Tokens:
        """Append a turn whose prompt starts with these tokens; the tokens there are now."""
        prompt = recorded.call.prompt_token_ids
        known = len(self.tokens) or self.prompt_length
        self.mask += [0] * (len(prompt) - known) + [1] * len(choice.token_ids)
        self.logprobs += choice.logprobs
        self.tokens = (*prompt, *choice.token_ids)
        self.turns.append((recorded, choice))
        self.ends.append(len(self.tokens))
        return self.tokens


def merge(calls: Iterable[CallRecorded]) -> list[Segment]:
    """Segments in the order they began; every sampled token of `calls` is in exactly one of them.

    Calls come in the order they were recorded: one that continues another was asked after that one was answered.
    All segments stay open, so that sub-agents that take turns each continue their own; the longest match is taken,
    the oldest of equals. Of several choices the first continues, and the others begin segments of their own.
    """
    segments: list[Segment] = []
    known: Prefixes[Segment] = Prefixes()
    for recorded in calls:
        path = known.follow(recorded.call.prompt_token_ids)
        segment = _continued(path, temperature(recorded))
        why: tuple[str, int | None] = ("", None) if segment else _why_it_begins(recorded, path)
        for choice in recorded.call.choices:
            if not choice.token_ids:
                continue
            if segment is None:
                segment = _begin(recorded, *why)
                segments.append(segment)
            known.add(segment.take(recorded, choice), segment)
            segment, why = None, ("choice", None)
    return segments


def separate(calls: Iterable[CallRecorded]) -> list[Segment]:
    """A segment for each choice."""
    segments = []
    for recorded in calls:
        for choice in recorded.call.choices:
            if choice.token_ids:
                segments.append(_begin(recorded, "call"))
                segments[-1].take(recorded, choice)
    return segments


def temperature(recorded: CallRecorded) -> float:
    """What the call was sampled at; 1, as every provider has it, when the request left it open."""
    asked = recorded.call.sampling.temperature
    return 1.0 if asked is None else asked


def _begin(recorded: CallRecorded, began: str, differs_at: int | None = None) -> Segment:
    return Segment(len(recorded.call.prompt_token_ids), temperature(recorded), began, differs_at)


def _continued(path: Path[Segment], warmth: float) -> Segment | None:
    for node in reversed(path.nodes):
        for index, segment in enumerate(node.ending):
            # A row has one temperature: its logits are scaled by it.
            if segment.temperature == warmth:
                return node.ending.pop(index)
    return None


def _why_it_begins(recorded: CallRecorded, path: Path[Segment]) -> tuple[str, int | None]:
    nearest, differs_at = path.nearest, path.shared
    if nearest is None:
        return "start", None
    turn = bisect_right(nearest.ends, differs_at)
    before, choice = nearest.turns[min(turn, len(nearest.turns) - 1)]
    if before.agent != recorded.agent:
        return "other_agent", differs_at
    if turn < len(nearest.turns) and _same_words(before, choice, recorded):
        spoken = differs_at >= nearest.ends[turn] - len(choice.token_ids)
        return ("retokenised" if spoken else "template"), differs_at
    if any(node.ending for node in path.nodes):
        return "other_temperature", None
    if any(node.ended for node in path.nodes):
        return "branched", differs_at
    if all(message.role != "assistant" for message in recorded.call.messages):
        return "start", None
    return "edited_history", differs_at


def _same_words(before: CallRecorded, choice: Choice, after: CallRecorded) -> bool:
    """Whether `after` was asked with the very history that `before` and its answer made."""
    asked, history = before.call.messages, after.call.messages
    return (
        0 < len(asked) < len(history)
        and history[: len(asked)] == asked
        and _words(history[len(asked)]) == _words(choice.message)
    )


def _words(message: Message) -> tuple[object, ...]:
    # Not the whole message: clients drop what providers add, and an absent content comes back empty.
    return message.role, message.content or None, tuple((call.name, call.arguments) for call in message.tool_calls)
