"""What LangChain puts around what a tool was given and what came of it, whoever writes it into a span."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agl_core.spans._attributes import at, decoded, text

__all__ = ["came", "given"]


def given(told: Any) -> Any:
    """The inputs, or the query, out of what its callbacks hand round with them; all else as it is."""
    match told:
        case {"inputs": inputs, "tags": _, "metadata": _} | {"query": inputs, "tags": _, "metadata": _}:
            return decoded(inputs)
        case _:
            return told


def came(told: Any) -> tuple[Any, str | None]:
    """What came of it, and which wish of a model it answers, where that was a tool's message."""
    match told:
        case {"outputs": inner, "kwargs": dict()} | {"output": inner, "kwargs": dict()}:
            told = decoded(inner)
    message = at(told, "data") if at(told, "type") == "tool" else at(told, "kwargs")
    if not isinstance(message, Mapping) or message.get("type") != "tool" or "content" not in message:
        return told, None
    return decoded(message["content"]), text(message, "tool_call_id")
