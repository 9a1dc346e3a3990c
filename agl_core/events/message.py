"""What models and tools say to each other: values without identity, in OpenAI chat terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Message", "Tool", "ToolCall"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A model's wish to have a tool run."""

    id: str
    name: str
    arguments: str
    """As the model wrote them: usually JSON, not always valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a chat."""

    role: str
    """`system`, `developer`, `user`, `assistant` or `tool`."""
    content: Any = None
    """Text, or a list of content parts as the provider defines them."""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """On a `tool` message: the call it answers."""
    name: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What the provider said beside that (refusal, reasoning, annotations), unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool the model was offered."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """JSON schema of the arguments."""
