"""Anthropic's `system` and `messages` to our messages and back, and the same of a chat that was asked elsewhere.

One turn of Anthropic's may be several of our messages: each tool result is one, and so is what stands between them.
What our words do not say of a turn is in `extra` of the messages it became.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from agl_core.events import Message
from agl_core.wire._anthropic_blocks import Words, are_blocks, as_block, as_tool_use, as_words, blocks, source
from agl_core.wire._leftover import leftover, merged

__all__ = ["answer", "answer_blocks", "foreign", "foreign_blocks", "render", "system", "turns"]

_LAYOUT = "$blocks"
"""In a message's `extra`: the layout of the blocks that it says."""
_TURN = "$turn"
"""What the turn that begins with the message said beside its blocks."""
_JOINED = "$joined"
"""The message belongs to the turn of the one before."""
_RESULT = "$result"
"""What the tool result said beside its content."""

_SYSTEM = frozenset({"system", "developer"})


def system(raw: Any) -> tuple[Message, ...]:
    """The message that `system` is, or nothing when it is none."""
    if isinstance(raw, str):
        return (Message(role="system", content=raw),)
    return (_said_by("system", raw, is_whole=True),) if are_blocks(raw) else ()


def turns(raw: Any) -> tuple[Message, ...]:
    """The chat, or nothing when one of its turns is no message."""
    if not isinstance(raw, list) or not all(isinstance(one, dict) and isinstance(one.get("role"), str) for one in raw):
        return ()
    return tuple(message for one in raw for message in _turn(one))


def render(messages: Sequence[Message]) -> tuple[Any, list[dict[str, Any]]]:
    """`system` and `messages` as they came; null when there is no system message that leads."""
    first = messages[0] if messages else None
    if first is not None and first.role == "system" and _TURN not in first.extra:
        return _content(first), _rendered(messages[1:])
    return None, _rendered(messages)


def answer(raw: list[dict[str, Any]]) -> Message:
    """What the blocks of a response say; `answer_blocks` gives them back."""
    return _said_by("assistant", raw, is_whole=False)


def answer_blocks(message: Message) -> list[dict[str, Any]]:
    """The content of a response."""
    return blocks(_words(message))


def foreign(messages: Sequence[Message]) -> tuple[Any, list[dict[str, Any]]]:
    """`system` and `messages` that say a chat of another dialect: roles alternate, and nothing is empty."""
    orders = [message for message in messages if message.role in _SYSTEM]
    texts = [message.content for message in orders]
    order = [block for message in orders for block in foreign_blocks(message)]
    said: list[tuple[str, list[dict[str, Any]]]] = []
    for message in messages:
        block = [] if message.role in _SYSTEM else _foreign_turn(message)
        role = "assistant" if message.role == "assistant" else "user"
        if block and said and said[-1][0] == role:
            said[-1][1].extend(block)
        elif block:
            said.append((role, block))
    joined = "\n\n".join(texts) if all(isinstance(text, str) for text in texts) else order
    return joined or None, [{"role": role, "content": _plain(content)} for role, content in said]


def foreign_blocks(message: Message) -> list[dict[str, Any]]:
    """What another dialect's message says, without the parts that Anthropic has no block for."""
    parts = message.content if isinstance(message.content, list) else [message.content]
    return [block for part in parts for block in _foreign_part(part)] + [as_tool_use(one) for one in message.tool_calls]


def _turn(raw: dict[str, Any]) -> Iterator[Message]:
    role, content = raw["role"], raw.get("content")
    if isinstance(content, str):
        made = [Message(role=role, content=content)]
    elif are_blocks(content):
        runs = _runs(content)
        made = [_result(run[0]) if _is_result(run[0]) else _said_by(role, run, is_whole=len(runs) == 1) for run in runs]
        made = made or [Message(role=role, extra={_LAYOUT: []})]
    else:
        made = [Message(role=role)]
    left = _left(raw, {"role": "user" if _answers_a_call(made[0]) else role})
    if role == "system" and _TURN not in left:
        left = {"role": role, **left}  # else it would be taken for the `system` beside the messages
    first, *others = made
    yield _with(first, {_TURN: left} if left else {})
    yield from (_with(one, {_JOINED: True}) for one in others)


def _runs(raw: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Each tool result alone, all that stands between two together."""
    runs: list[list[dict[str, Any]]] = []
    for block in raw:
        if runs and not _is_result(block) and not _is_result(runs[-1][0]):
            runs[-1].append(block)
        else:
            runs.append([block])
    return runs


def _is_result(block: dict[str, Any]) -> bool:
    return block.get("type") == "tool_result" and isinstance(block.get("tool_use_id"), str)


def _said_by(role: str, raw: list[dict[str, Any]], *, is_whole: bool) -> Message:
    """`is_whole` when the blocks are a whole content, which would be text alone if it had no layout."""
    words = as_words(raw)
    layout = words.layout
    if is_whole and layout is None and not words.tool_calls and not isinstance(words.content, list):
        layout = [{"part": {}} for _ in raw]
    extra = {} if layout is None else {_LAYOUT: layout}
    return Message(role=role, content=words.content, tool_calls=words.tool_calls, extra=extra)


def _result(raw: dict[str, Any]) -> Message:
    content = raw.get("content")
    said = Message(role="tool", content=content if isinstance(content, str) else None)
    if are_blocks(content):
        said = _said_by("tool", content, is_whole=True)
    left = _left(raw, {"type": "tool_result", "tool_use_id": raw["tool_use_id"]})
    return _with(replace(said, tool_call_id=raw["tool_use_id"]), {_RESULT: left} if left else {})


def _left(raw: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
    """What is left beside a content that was understood: of that one, nothing."""
    content = raw.get("content")
    is_understood = isinstance(content, str) or are_blocks(content)
    return leftover({name: raw[name] for name in raw if name != "content" or not is_understood}, said)


def _with(message: Message, more: dict[str, Any]) -> Message:
    return replace(message, extra={**message.extra, **more}) if more else message


def _rendered(messages: Sequence[Message]) -> list[dict[str, Any]]:
    groups: list[list[Message]] = []
    for message in messages:
        if groups and _JOINED in message.extra:
            groups[-1].append(message)
        else:
            groups.append([message])
    return [merged(_rendered_turn(group), group[0].extra.get(_TURN, {})) for group in groups]


def _rendered_turn(group: Sequence[Message]) -> dict[str, Any]:
    first = group[0]
    is_result = _answers_a_call(first)
    said: dict[str, Any] = {"role": "user" if is_result else first.role}
    if len(group) > 1 or is_result:
        said["content"] = [block for message in group for block in _blocks(message)]
    elif (content := _content(first)) is not None:
        said["content"] = content
    return said


def _blocks(message: Message) -> list[dict[str, Any]]:
    return [_rendered_result(message)] if _answers_a_call(message) else blocks(_words(message))


def _answers_a_call(message: Message) -> bool:
    return message.role == "tool" and message.tool_call_id is not None


def _rendered_result(message: Message) -> dict[str, Any]:
    said = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    content = _content(message)
    if content is not None:
        said["content"] = content
    return merged(said, message.extra.get(_RESULT, {}))


def _content(message: Message) -> Any:
    """Text when the message says no more than that; null when it says nothing."""
    words = _words(message)
    if words.layout is None and not words.tool_calls and not isinstance(words.content, list):
        return words.content
    return blocks(words)


def _words(message: Message) -> Words:
    return Words(message.content, message.tool_calls, message.extra.get(_LAYOUT))


def _foreign_turn(message: Message) -> list[dict[str, Any]]:
    said = foreign_blocks(message)
    if message.role != "tool":
        return said
    result = {"type": "tool_result", "tool_use_id": message.tool_call_id or ""}
    return [{**result, "content": _plain(said)} if said else result]


def _foreign_part(part: Any) -> list[dict[str, Any]]:
    match part:
        case str(text) | {"text": str(text)} | {"refusal": str(text)}:
            return [as_block(text)] if text else []  # providers refuse an empty block
        case {"image_url": {"url": str(url)}} | {"image_url": str(url)}:
            return [{"type": "image", "source": source(url)}]
        case {"file": {"file_data": str(url)}}:
            return [{"type": "document", "source": source(url)}]
    return []


def _plain(content: list[dict[str, Any]]) -> Any:
    match content:
        case [{"type": "text", "text": str(text)}]:
            return text
    return content
