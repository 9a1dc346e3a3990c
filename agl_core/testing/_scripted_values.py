"""What a scripted model is asked, and what it says: values in no provider's dialect."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from agl_core.events import ToolCall, Usage

__all__ = ["Answer", "Asked", "Refusal", "Said", "count_in", "object_in", "text_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, as it came in."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]
    """Names in lower case."""
    path: str

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The chat so far; a prompt and an input are messages of the user's."""
        if "messages" in self.body:
            return cast("Sequence[Mapping[str, Any]]", self.body["messages"])
        given = self.body.get("input", self.body.get("prompt", ()))
        if isinstance(given, list) and given and all(isinstance(one, dict) for one in given):
            return given
        return ({"role": "user", "content": given},) if given else ()

    @property
    def last(self) -> str:
        """What the last message says: its text, or that of its parts."""
        if not self.messages:
            return ""
        said = self.messages[-1]
        return text_of(said.get("content", said.get("output")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model says; what is left out is made from the text."""

    text: str = ""
    reasoning: str = ""
    """What it thinks before it speaks."""
    refusal: str = ""
    """What it says instead, when it will not."""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    """As OpenAI chat says it; other dialects translate what they have another word for."""
    token_ids: tuple[int, ...] | None = None
    """Left out: one token for each byte, then `END`."""
    logprobs: tuple[float, ...] | None = None
    """Left out: numbers that depend on the token, its place and its choice."""
    usage: Usage | None = None
    """Left out: tokens as they were counted."""
    cached_tokens: int = 0
    """How much of the prompt was read from a cache, as usage tells it."""
    pieces: Sequence[str] | None = None
    """How a stream cuts the text; together they are the text. Left out: a few characters each."""
    gate: Callable[[], object] | None = None
    """Called before each piece of a stream is made; while it waits, all before it has been sent."""

    def __post_init__(self) -> None:
        if self.pieces is not None and "".join(self.pieces) != self.text:
            raise ValueError(f"the pieces say {''.join(self.pieces)!r} and the text {self.text!r}: make them the same")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error instead of an answer, in the shape of the dialect that asked."""

    status: int
    code: str
    message: str = "refused by the script"
    headers: Mapping[str, str] = field(default_factory=dict)
    retry_after: float | None = None
    """Seconds, said in a `Retry-After` header."""

    @property
    def sent_headers(self) -> dict[str, str]:
        """All of its headers."""
        return {**({} if self.retry_after is None else {"retry-after": f"{self.retry_after:g}"}), **self.headers}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """All that an answer in a dialect is made from."""

    asked: Asked
    answers: tuple[Answer, ...]
    """One, or several for the choices of one request."""
    prompts: tuple[tuple[int, ...], ...]
    """As tokens: one, or several where one request may bring several."""
    number: int
    """The how-manieth request it was."""
    model: str
    version: int | None

    def choices(self, count: int) -> tuple[Answer, ...]:
        """So many answers, from the first again when there are fewer."""
        return tuple(self.answers[place % len(self.answers)] for place in range(count))


def count_in(asked: Mapping[str, Any], *names: str) -> int | None:
    """The first of these fields that is a number above zero; null when none is."""
    return next((value for name in names if type(value := asked.get(name)) is int and value > 0), None)


def object_in(asked: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The field, if it is an object; else an empty one."""
    value = asked.get(name)
    return value if isinstance(value, dict) else {}


def text_of(content: Any) -> str:
    """The text of a content: its own, or that of its parts."""
    if isinstance(content, list):
        parts = [part.get("text", part.get("content")) if isinstance(part, dict) else part for part in content]
        return "".join(text_of(part) for part in parts)
    if isinstance(content, str):
        return content
    return "" if content is None else json.dumps(content)
