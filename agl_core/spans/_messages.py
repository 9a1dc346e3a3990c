"""Turns of a chat, in whichever of four shapes they are told: parts, OpenAI's, and two that are flat names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agl_core.events import Message, ToolCall
from agl_core.spans._attributes import decoded, listed, text, written

__all__ = ["content", "instructions", "messages", "spoken"]

_TEXTS = frozenset({"text", "input_text", "output_text"})


def messages(turns: Any, *, role: str | None = None) -> tuple[Message, ...]:
    """The turns of a chat; `role` is that of a turn which does not say its own."""
    return tuple(message for turn in listed(turns) for message in spoken(turn, role=role))


def spoken(turn: Mapping[str, Any], *, role: str | None = None) -> Iterator[Message]:
    """The messages of one turn: each result of a tool is one of its own. What says no role is none."""
    if isinstance(inner := turn.get("message"), Mapping):
        turn = inner
    role = text(turn, "role") or role
    if role is None:
        return
    if "parts" in turn:
        yield from _of_parts(listed(turn["parts"]), role, text(turn, "name"))
        return
    yield Message(
        role=role,
        content=content(turn["contents"] if "contents" in turn else turn.get("content")),
        tool_calls=tuple(_call(one) for one in listed(turn.get("tool_calls"))),
        tool_call_id=text(turn, "tool_call_id", "id") if role == "tool" else text(turn, "tool_call_id"),
        name=text(turn, "name"),
    )


def instructions(parts: Any) -> tuple[Message, ...]:
    """What the model was told before the chat: text, or a list of parts."""
    said = content(listed(parts)) if listed(parts) else written(parts)
    return (Message(role="system", content=said),) if said else ()


def content(said: Any) -> Any:
    """Text; or parts, in OpenAI's words where they are text, and as they came where they are not."""
    if said is None or isinstance(said, str):
        return said
    parts = listed(said)
    if not parts:
        # A tool may have said a number, or a map: models are told in text.
        return written(said)
    read = [_part(one["message_content"] if isinstance(one.get("message_content"), Mapping) else one) for one in parts]
    match read:
        case [{"type": "text", "text": only}]:
            return only
        case _:
            return read


def _of_parts(parts: list[Mapping[str, Any]], role: str, name: str | None) -> Iterator[Message]:
    """OpenTelemetry's: a turn is a list of parts, and each of them says what it is."""
    said: list[Mapping[str, Any]] = []
    calls: list[ToolCall] = []
    thoughts: list[str] = []
    results: list[Message] = []
    for part in parts:
        match part.get("type"):
            case "tool_call":
                calls.append(_call(part))
            case "tool_call_response":
                results.append(_result(part))
            case "reasoning" | "thinking":
                thoughts.append(written(part.get("content")))
            case _:
                said.append(part)
    if said or calls or thoughts or not results:
        yield Message(
            role=role,
            content=content(said) if said else None,
            tool_calls=tuple(calls),
            name=name,
            extra={"reasoning": "".join(thoughts)} if thoughts else {},
        )
    yield from results


def _result(part: Mapping[str, Any]) -> Message:
    # The schema says `response`; its prose, and Pydantic AI, `result`.
    said = part["response"] if "response" in part else part.get("result")
    return Message(role="tool", content=content(said), tool_call_id=text(part, "id"), name=text(part, "name"))


def _call(raw: Mapping[str, Any]) -> ToolCall:
    if isinstance(inner := raw.get("tool_call"), Mapping):
        raw = inner
    function = raw.get("function")
    named: Mapping[str, Any] = function if isinstance(function, Mapping) else raw
    return ToolCall(id=text(raw, "id") or "", name=text(named, "name") or "", arguments=written(named.get("arguments")))


def _part(part: Mapping[str, Any]) -> Mapping[str, Any]:
    if part.get("type") not in _TEXTS:
        return {name: decoded(value) for name, value in part.items()}
    said = part.get("text", part.get("content"))
    return {"type": "text", "text": written(said)}
