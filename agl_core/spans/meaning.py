"""What a span means: the one form that every dialect is read into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from agl_core.events import Message, SpanRecorded, Usage

__all__ = ["Kind", "Score", "SpanDialect", "SpanMeaning"]

Kind = Literal["model_call", "agent", "tool", "task", "handoff", "retriever", "reward", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A number that somebody put on the span, or on what it stands for."""

    name: str
    value: float
    """Finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanMeaning:
    """A piece of an agent's work, in no library's dialect. What nobody said is null, or empty."""

    kind: Kind = "other"
    name: str
    """The span's own, whatever it is worth."""
    dialect: str | None = None
    """Who said so; null where no dialect knows the span."""
    agent: str | None = None
    """Who did it."""
    handed_to: str | None = None
    """On a `handoff`: the agent that goes on."""
    tool: str | None = None
    tool_call_id: str | None = None
    """The model's wish that the tool ran for."""
    arguments: Any = None
    """What a tool, a task or a retriever was given: a value where it was JSON of an object or a list."""
    result: Any = None
    """What came of it, likewise."""
    model: str | None = None
    """The one that answered, else the one that was asked for."""
    messages: tuple[Message, ...] = ()
    """What went in, system instructions first."""
    answers: tuple[Message, ...] = ()
    """What came out: one for each choice."""
    usage: Usage | None = None
    """Tokens; those of an agent are the sum of its calls, so never add both."""
    finish_reasons: tuple[str, ...] = ()
    """As the provider said; OpenTelemetry's `tool_call` is `tool_calls`."""
    response_id: str | None = None
    """By which a call seen on the wire is known again."""
    error: str | None = None
    """A stable word, such as the exception's type."""
    conversation_id: str | None = None
    scores: tuple[Score, ...] = ()


class SpanDialect(Protocol):
    """One way of saying things in a span. A module is one."""

    NAME: str

    def read(self, span: SpanRecorded) -> SpanMeaning | None:
        """What the span says, or null when it does not speak this dialect. Never raises on what a span may hold."""
        ...
