"""Content blocks of Anthropic messages to our words and back, with a layout of what the words leave out.

A layout has an entry a block, in order. `{"part": left}` is the next part of the content, `{"call": left}` the next
tool call, each with what the block said beside our words; `{"block": raw}` is a block we have no word for, such as a
thought. Words whose blocks follow from them alone have no layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

import msgspec

from agl_core.events import ToolCall
from agl_core.wire._leftover import leftover, merged

__all__ = ["Layout", "Words", "are_blocks", "arguments", "as_block", "as_tool_use", "as_words", "blocks", "tool_input"]

Layout = list[dict[str, Any]]

_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_TEXT = frozenset({"type", "text"})
_CALL = frozenset({"type", "id", "name", "input"})
_INVALID = "$invalid"
"""The one field of an input whose text is no JSON object: Anthropic has a place for objects alone."""
_BASE64 = ";base64,"


@dataclass(frozen=True, slots=True)
class Words:
    """What blocks say in OpenAI chat terms."""

    content: Any = None
    tool_calls: tuple[ToolCall, ...] = ()
    layout: Layout | None = None


def are_blocks(raw: Any) -> TypeGuard[list[dict[str, Any]]]:
    """Whether it is a list that can be read as blocks."""
    return isinstance(raw, list) and all(isinstance(one, dict) for one in raw)


def as_words(raw: list[dict[str, Any]]) -> Words:
    """What the blocks say; `blocks` gives them back, each as it came."""
    parts: list[Any] = []
    calls: list[ToolCall] = []
    layout: Layout = []
    for block in raw:
        if (call := _tool_call(block)) is not None:
            calls.append(call)
            layout.append({"call": {name: value for name, value in block.items() if name not in _CALL}})
        elif (found := _part(block)) is not None:
            part, left = found
            parts.append(part)
            layout.append({"part": left})
        else:
            layout.append({"block": block})
    follows = layout == [{"part": {}} for _ in parts] + [{"call": {}} for _ in calls]
    return Words(_content(parts), tuple(calls), None if follows else layout)


def blocks(words: Words) -> list[dict[str, Any]]:
    """The blocks that say it; a layout for other words than these is as none."""
    parts = [as_block(part) for part in _parts(words.content)]
    calls = [as_tool_use(call) for call in words.tool_calls]
    layout = words.layout
    if layout is None or _count(layout, "part") != len(parts) or _count(layout, "call") != len(calls):
        return parts + calls
    rest = {"part": iter(parts), "call": iter(calls)}
    return [_laid(entry, rest) for entry in layout]


def as_block(part: Any) -> dict[str, Any]:
    """A content part as a block: images in Anthropic's words, all else as it is."""
    match part:
        case str():
            return {"type": "text", "text": part}
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return {"type": "image", "source": source(url)}
    block: dict[str, Any] = part
    return block


def source(url: str) -> dict[str, Any]:
    """Where a block has its bytes from: a data URL carries them along."""
    media_type, mark, data = url.removeprefix("data:").partition(_BASE64)
    if mark and url.startswith("data:"):
        return {"type": "base64", "media_type": media_type, "data": data}
    return {"type": "url", "url": url}


def as_tool_use(call: ToolCall) -> dict[str, Any]:
    """The call as a block."""
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": tool_input(call.arguments)}


def tool_input(text: str) -> dict[str, Any]:
    """The object that `text` says: an empty one when it says nothing, `{"$invalid": text}` when it says no object."""
    found = _object(text)
    return {_INVALID: text} if found is None else found


def arguments(raw: dict[str, Any]) -> str | None:
    """The text that `tool_input` makes this input of; null when there is none."""
    match raw:
        case {"$invalid": str(text)} if len(raw) == 1 and _object(text) is None:
            return text
    try:
        text = msgspec.json.encode(raw).decode()
        return text if _object(text) == raw else None
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def _object(text: str) -> dict[str, Any] | None:
    if not text.strip():
        return {}
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _tool_call(block: dict[str, Any]) -> ToolCall | None:
    match block:
        case {"type": "tool_use", "id": str(id_), "name": str(name), "input": dict(asked)}:
            text = arguments(asked)
            return None if text is None else ToolCall(id=id_, name=name, arguments=text)
    return None


def _part(block: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
    """The part that says the block, and what it leaves out; null when the two would not give the block back."""
    if block.keys() == _TEXT and block["type"] == "text":
        return block, {}  # most blocks are
    for part in _wordings(block):
        said = as_block(part)
        left = leftover(block, said)
        if merged(said, left) == block:
            return part, left
    return None


def _wordings(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    match block:
        case {"type": str(kind)} if kind in _THOUGHTS:
            return
        case {"type": "text", "text": str(text)}:
            yield {"type": "text", "text": text}
        case {"type": "image", "source": {"type": "base64", "media_type": str(media_type), "data": str(data)}}:
            yield {"type": "image_url", "image_url": {"url": f"data:{media_type}{_BASE64}{data}"}}
        case {"type": "image", "source": {"type": "url", "url": str(url)}}:
            yield {"type": "image_url", "image_url": {"url": url}}
    yield block


def _content(parts: list[Any]) -> Any:
    match parts:
        case [{"type": "text", "text": str(text)}] if len(parts[0]) == 2:
            return text
    return parts or None


def _parts(content: Any) -> list[Any]:
    if content is None:
        return []
    return content if isinstance(content, list) else [content]


def _count(layout: Layout, kind: str) -> int:
    return sum(kind in entry for entry in layout)


def _laid(entry: dict[str, Any], rest: dict[str, Iterator[dict[str, Any]]]) -> dict[str, Any]:
    for kind, coming in rest.items():
        if kind in entry:
            return merged(next(coming), entry[kind])
    block: dict[str, Any] = entry["block"]
    return block
