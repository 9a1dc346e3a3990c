"""From messages to token ids; earlier replies keep the ids they were sampled as, so that a chat is one sequence."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from agl_transformers._template import Message, Template

__all__ = ["Prompt", "Renderer"]

_REMEMBERED_TOKENS = 1 << 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A conversation as the model reads it."""

    ids: Sequence[int]
    digest: bytes
    """Of the tools and every message: what a reply to it is remembered under."""


class Renderer:
    """Renders conversations; not for several threads at once."""

    def __init__(self, template: Template, *, capacity: int = _REMEMBERED_TOKENS) -> None:
        self._template = template
        self._capacity = capacity
        self._sequences: OrderedDict[bytes, tuple[int, ...]] = OrderedDict()
        self.held = 0
        """Ids remembered."""

    def prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> Prompt:
        """The ids to continue from: those of the last known reply and of its prompt, then what came after."""
        digests = _chain(messages, tools)
        text = self._template.render(messages, tools)
        for index in range(len(messages) - 1, -1, -1):
            sequence = self._sequences.get(digests[index + 1]) if messages[index]["role"] == "assistant" else None
            if sequence is None:
                continue
            self._sequences.move_to_end(digests[index + 1])
            rest = self._rest(text, messages[: index + 1], tools, sequence[-1])
            if rest is not None:
                return Prompt(ids=(*sequence, *self._template.ids_of(rest)), digest=digests[-1])
        return Prompt(ids=self._template.ids_of(text), digest=digests[-1])

    def remember(self, prompt: Prompt, reply: Message, sampled: Sequence[int]) -> None:
        """A later conversation that goes on from `reply` starts with exactly these ids. The oldest are forgotten."""
        if not sampled:
            return
        key = _link(prompt.digest, reply)
        self.held -= len(self._sequences.pop(key, ()))
        self._sequences[key] = sequence = (*prompt.ids, *sampled)
        self.held += len(sequence)
        while self.held > self._capacity:
            self.held -= len(self._sequences.popitem(last=False)[1])

    def _rest(self, text: str, known: Sequence[Message], tools: Sequence[Mapping[str, Any]], last: int) -> str | None:
        """What the template writes after the reply's last token; None when that cannot be told.

        A template may write an old turn in another way than the newest (without its thinking, say): then the
        conversation no longer starts with what was sampled, and is rendered afresh.
        """
        tail = self._template.tail
        until = self._template.render(known, tools, ask=False)
        if not tail or not until.endswith(tail) or not text.startswith(until):
            return None
        end = self._template.end_text(last)
        if end is None:
            return tail + text[len(until) :]
        return tail[len(end) :] + text[len(until) :] if tail.startswith(end) else None


def _chain(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[bytes]:
    """A digest before the first message, and one after each; each holds all that is before it."""
    digests = [blake2b(msgspec.json.encode(tools), digest_size=16).digest()]
    for message in messages:
        digests.append(_link(digests[-1], message))
    return digests


def _link(before: bytes, message: Message) -> bytes:
    calls = [
        (call.get("id"), call["function"].get("name"), call["function"].get("arguments"))
        for call in message.get("tool_calls") or ()
    ]
    said = (message["role"], message.get("content") or "", message.get("name"), message.get("tool_call_id"), calls)
    return blake2b(before + msgspec.json.encode(said), digest_size=16).digest()
