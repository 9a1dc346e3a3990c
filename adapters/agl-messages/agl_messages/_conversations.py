"""Calls into conversations: a call goes on with the one whose messages it begins with; else it begins one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from agl_core.adapter import words
from agl_core.events import CallRecorded, Message
from agl_messages._words import bare, has_words, toolbox, with_ids

__all__ = ["Conversation", "History", "merge", "separate"]


@dataclass(slots=True)
class Conversation:
    """A transcript in the making."""

    began: str
    agent: str | None
    tools: Hashable
    messages: list[Message] = field(default_factory=list)
    trained: list[bool] = field(default_factory=list)
    calls: list[CallRecorded] = field(default_factory=list)

    def take(self, recorded: CallRecorded, asked: Sequence[Message], answer: Message) -> None:
        """What was put in since it ended, and the answer. What is there stays as it was first captured."""
        if self.messages:
            self.messages[-1] = with_ids(self.messages[-1], asked[len(self.messages) - 1])
        fresh = asked[len(self.messages) :]
        self.messages += [*map(bare, fresh), bare(answer)]
        self.trained += [*(False for _ in fresh), True]
        self.calls.append(recorded)


@dataclass(slots=True)
class _Place:
    """Where a sequence of messages has come to."""

    below: dict[Hashable, _Place] = field(default_factory=dict)
    """By what the next message says."""
    ending: list[Conversation] = field(default_factory=list)
    """Those that end here and may go on, oldest first."""
    has_ended: bool = False
    """Whether one ever ended here."""


class History:
    """What calls were asked with, also where a provider keeps what was said before."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Message, ...]] = {}

    def asked(self, recorded: CallRecorded) -> tuple[Message, ...] | None:
        """All messages that the model saw; None when some of them are nowhere in the trace."""
        call = recorded.call
        orders, said = _parted(recorded)
        if before := call.extra.get("previous_response_id"):
            known = self._known.get(before) if isinstance(before, str) else None
            if known is None:
                return None
            said = (*known, *said)
        elif call.extra.get("conversation"):
            return None
        if call.dialect == "openai.responses" and call.response_id and call.choices:
            self._known[call.response_id] = (*said, call.choices[0].message)
        return (*orders, *said)


def merge(calls: Iterable[tuple[CallRecorded, tuple[Message, ...]]]) -> list[Conversation]:
    """Conversations in the order they began; every answer of `calls` is in exactly one of them as its own.

    Each call comes with all that it was asked with, in the order they were recorded. All conversations stay open, so
    that agents that take turns each go on with their own; the longest match is taken, the oldest of equals. A history
    that went on once is not taken again: who branches off it begins a conversation, in which it is history. Of several
    answers the first goes on, and each other one begins a conversation.
    """
    conversations: list[Conversation] = []
    root = _Place()
    for recorded, asked in calls:
        path = _followed(root, asked)
        tools = toolbox(recorded.call.tools)
        conversation = _continued(path, recorded.agent, tools)
        began = "" if conversation else _why_it_begins(path, recorded.agent, asked)
        for choice in recorded.call.choices:
            if not has_words(choice.message):
                continue
            if conversation is None:
                conversation = Conversation(began, recorded.agent, tools)
                conversations.append(conversation)
            conversation.take(recorded, asked, choice.message)
            end = _entered(path[-1], words(choice.message))
            end.ending.append(conversation)
            end.has_ended = True
            conversation, began = None, "choice"
    return conversations


def separate(calls: Iterable[tuple[CallRecorded, tuple[Message, ...]]]) -> list[Conversation]:
    """A conversation for each answer."""
    conversations = []
    for recorded, asked in calls:
        for choice in recorded.call.choices:
            if has_words(choice.message):
                conversations.append(Conversation("call", recorded.agent, toolbox(recorded.call.tools)))
                conversations[-1].take(recorded, asked, choice.message)
    return conversations


def _parted(recorded: CallRecorded) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """What a request tells the model anew each time, and what it adds to a history that a provider keeps."""
    call = recorded.call
    is_apart = call.dialect == "openai.responses" and "$responses.listed" not in call.extra
    if is_apart and call.messages and call.messages[0].role == "system":
        return call.messages[:1], call.messages[1:]
    return (), call.messages


def _followed(root: _Place, asked: Iterable[Message]) -> list[_Place]:
    """The places on the way, from the first to the last message; they are there from now on."""
    path = [root]
    for message in asked:
        path.append(_entered(path[-1], words(message)))
    return path


def _entered(place: _Place, said: Hashable) -> _Place:
    return place.below.setdefault(said, _Place())


def _continued(path: Sequence[_Place], agent: str | None, tools: Hashable) -> Conversation | None:
    for place in reversed(path):
        for index, conversation in enumerate(place.ending):
            # A transcript has one list of tools: what was said without a tool is not what is said with it at hand.
            if conversation.agent == agent and conversation.tools == tools:
                return place.ending.pop(index)
    return None


def _why_it_begins(path: Sequence[_Place], agent: str | None, asked: Sequence[Message]) -> str:
    for place in reversed(path):
        if place.ending:
            return "other_tools" if any(one.agent == agent for one in place.ending) else "other_agent"
        if place.has_ended:
            return "branched"
    return "edited_history" if any(message.role == "assistant" for message in asked) else "start"
