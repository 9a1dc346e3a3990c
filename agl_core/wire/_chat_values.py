"""Messages, tools and sampling of OpenAI chat, each to its value and back. Nothing here raises on bad input."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agl_core.events import Message, Sampling, Tool, ToolCall
from agl_core.wire._leftover import leftover, merged

__all__ = [
    "messages",
    "numbers",
    "render_message",
    "render_sampling",
    "render_tool",
    "sampling",
    "text",
    "token_ids",
    "tools",
    "whole",
]

_PLAIN = frozenset({"role", "content"})
_INT64 = 1 << 63
_EXACT = 1 << 53
"""Integers below it are floats without loss."""


def messages(raw: Any) -> tuple[Message, ...]:
    """The chat, or nothing when one of its turns is no message."""
    if not isinstance(raw, list) or not all(_is_message(one) for one in raw):
        return ()
    return tuple(_message(one) for one in raw)


def tools(raw: Any) -> tuple[Tool, ...]:
    """The functions offered, or nothing when one of the tools is none."""
    if not isinstance(raw, list) or not all(_is_tool(one) for one in raw):
        return ()
    return tuple(_tool(one["function"]) for one in raw)


def sampling(body: Mapping[str, Any]) -> Sampling:
    """How tokens are to be drawn, as far as the fields are of their types."""
    stop = body.get("stop")
    limit = whole(body.get("max_tokens"))
    return Sampling(
        temperature=_number(body.get("temperature")),
        top_p=_number(body.get("top_p")),
        top_k=whole(body.get("top_k")),
        max_tokens=whole(body.get("max_completion_tokens")) if limit is None else limit,
        seed=whole(body.get("seed")),
        stop=(stop,) if isinstance(stop, str) else _texts(stop),
    )


def render_message(message: Message) -> dict[str, Any]:
    """The turn in OpenAI's words; absent content is said as null."""
    said: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        said["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        said["name"] = message.name
    return merged(said, message.extra)


def render_tool(tool: Tool) -> dict[str, Any]:
    """The tool in OpenAI's words."""
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters:
        function["parameters"] = tool.parameters
    return {"type": "function", "function": function}


def render_sampling(drawn: Sampling) -> dict[str, Any]:
    """The fields that were set."""
    fields = {
        "temperature": drawn.temperature,
        "top_p": drawn.top_p,
        "top_k": drawn.top_k,
        "max_tokens": drawn.max_tokens,
        "seed": drawn.seed,
        "stop": list(drawn.stop) or None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def text(raw: Any) -> str | None:
    """`raw` if it is text."""
    return raw if isinstance(raw, str) else None


def whole(raw: Any) -> int | None:
    """`raw` if it is an integer that a log can hold."""
    # type(), not isinstance(): `true` is no number.
    return raw if type(raw) is int and -_INT64 <= raw < _INT64 else None


def token_ids(raw: Any) -> tuple[int, ...]:
    """The ids, or nothing when one is none."""
    if not isinstance(raw, list):
        return ()
    try:
        return tuple(array("I", raw))  # checks every id in C: a prompt has thousands
    except (TypeError, OverflowError, ValueError):
        return ()


def numbers(raw: list[Any]) -> tuple[float, ...]:
    """The numbers, or nothing when one is none, or too big for single precision."""
    try:
        packed = array("f", raw)
    except (TypeError, OverflowError, ValueError):
        return ()
    return tuple(packed)


def _is_message(raw: Any) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get("role"), str)


def _message(raw: dict[str, Any]) -> Message:
    if raw.keys() <= _PLAIN:
        return Message(role=raw["role"], content=raw.get("content"))
    message = Message(
        role=raw["role"],
        content=raw.get("content"),
        tool_calls=_tool_calls(raw.get("tool_calls")),
        tool_call_id=text(raw.get("tool_call_id")),
        name=text(raw.get("name")),
    )
    extra = leftover(raw, render_message(message))
    return replace(message, extra=extra) if extra else message


def _tool_calls(raw: Any) -> tuple[ToolCall, ...]:
    if not isinstance(raw, list) or not all(_is_tool_call(one) for one in raw):
        return ()
    return tuple(
        ToolCall(id=one["id"], name=one["function"]["name"], arguments=one["function"]["arguments"]) for one in raw
    )


def _is_tool_call(raw: Any) -> bool:
    return (
        isinstance(raw, dict)
        and isinstance(raw.get("id"), str)
        and isinstance(function := raw.get("function"), dict)
        and isinstance(function.get("name"), str)
        and isinstance(function.get("arguments"), str)
    )


def _is_tool(raw: Any) -> bool:
    return (
        isinstance(raw, dict)
        and raw.get("type") == "function"
        and isinstance(function := raw.get("function"), dict)
        and isinstance(function.get("name"), str)
    )


def _tool(function: dict[str, Any]) -> Tool:
    parameters = function.get("parameters")
    return Tool(
        name=function["name"],
        description=text(function.get("description")) or "",
        parameters=parameters if isinstance(parameters, dict) else {},
    )


def _number(raw: Any) -> float | None:
    if type(raw) is float:
        return raw if abs(raw) < float("inf") else None
    return float(raw) if type(raw) is int and abs(raw) < _EXACT else None


def _texts(raw: Any) -> tuple[str, ...]:
    if not isinstance(raw, list) or not all(isinstance(one, str) for one in raw):
        return ()
    return tuple(raw)
