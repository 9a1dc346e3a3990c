"""Messages in the words of OpenAI's chat, as formats of training data have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agl_core.events import Message, Tool

__all__ = ["arguments", "as_text", "dumped", "is_plain", "said", "toolbox"]

SYSTEM = frozenset({"system", "developer"})


def said(message: Message, *, content: Any = ..., role: str | None = None, as_objects: bool = False) -> dict[str, Any]:
    """The message; arguments of tool calls are text, or objects where they are JSON of one."""
    shown: dict[str, Any] = {
        "role": role or message.role,
        "content": message.content if content is ... else content,
    }
    if message.tool_calls:
        shown["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": arguments(call.arguments) if as_objects else call.arguments,
                },
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        shown["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        shown["name"] = message.name
    if isinstance(refusal := message.extra.get("refusal"), str):
        shown["refusal"] = refusal
    return shown


def toolbox(tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Tools as they are offered to a model."""
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
        }
        for tool in tools
    ]


def arguments(text: str) -> Any:
    """The object that the text is JSON of; else the text. No arguments are an empty object."""
    if not text.strip():
        return {}
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text
    return found if isinstance(found, dict) else text


def as_text(message: Message) -> str | None:
    """What it says, where that is text alone; parts of text are joined. None of nothing."""
    if message.content is None or isinstance(message.content, str):
        return message.content
    return "".join(part["text"] for part in message.content)


def is_plain(message: Message) -> bool:
    """Whether its content is text, or nothing."""
    content = message.content
    if content is None or isinstance(content, str):
        return True
    return isinstance(content, (list, tuple)) and all(_is_text(part) for part in content)


def dumped(value: Any) -> str:
    """As JSON text."""
    return msgspec.json.encode(value).decode()


def _is_text(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)
