"""Items of OpenAI's Responses, each to the message it is part of and back. Nothing here raises on bad input.

What the model says in one go (reasoning, a message, function calls, calls of built-in tools) is one message of ours,
in a request's history as in the answer itself, so that both read alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agl_core.events import Message, ToolCall
from agl_core.wire._chat_values import text
from agl_core.wire._leftover import leftover, merged

__all__ = ["as_answer", "as_items", "as_output", "messages", "turn", "woven"]

_LEFT = "$responses.left"
"""In a message's `extra`: what each of its items said beside our words."""
_RAW = "$responses.raw"
"""In a message's `extra`: its items themselves, where our words would not give them back."""
_TEXTS = ("input_text", "output_text", "text")
_FILE = frozenset({"file_data", "file_id", "filename"})

Item = dict[str, Any]


def messages(raw: Any) -> tuple[Message, ...]:
    """The chat, or nothing when one of its items is none."""
    if not isinstance(raw, list) or not all(_is_item(one) for one in raw):
        return ()
    return tuple(_heard(group[0]) if _asks(group[0]) else _history(group) for group in _groups(raw))


def turn(raw: Sequence[Item]) -> Message:
    """All that the model said, as one message; `as_output` gives back every item."""
    said = _spoken(raw)
    message = Message(role="assistant", content=_words(raw), tool_calls=_wishes(raw), extra=_refused(raw))
    left = [one if words is None else leftover(one, words) for one, words in zip(raw, said, strict=True)]
    is_exact = woven(_speech(message), left) == raw
    return replace(message, extra={**message.extra, **({_LEFT: left} if is_exact else {_RAW: list(raw)})})


def as_items(message: Message) -> list[Item]:
    """The message as items of a request."""
    if message.role != "assistant":
        return _kept(message) or [_question(message)]
    kept = _kept(message)
    if kept is not None:
        return kept
    return [*_easy(message), *map(_wish, message.tool_calls)]


def as_output(message: Message) -> list[Item]:
    """The message as items of an answer."""
    kept = _kept(message)
    return _speech(message) if kept is None else kept


def as_answer(message: Message, *, of: str) -> list[Item]:
    """A message that was not said in this dialect, as items of the answer `of`, with all that clients count on."""
    refusal = message.extra.get("refusal")
    speech = _speech(message)
    if message.content is None and isinstance(refusal, str):
        parts = [{"type": "refusal", "refusal": refusal}]
        speech = [{"type": "message", "role": "assistant", "content": parts}, *speech]
    return [_complete(item, f"{of}_{place}") for place, item in enumerate(speech)]


def woven(said: Iterable[Item], left: Any) -> list[Item] | None:
    """`left` with what was `said` merged in; what names its type is whole. Null when they do not fit."""
    if not isinstance(left, list):
        return None
    rest = iter(said)
    whole = []
    for part in left:
        if not isinstance(part, Mapping):
            return None
        if "type" in part:
            whole.append(dict(part))
        elif (words := next(rest, None)) is not None:
            whole.append(merged(words, part))
        else:
            return None
    return None if next(rest, None) is not None else whole


def _complete(item: Item, name: str) -> Item:
    if item["type"] == "function_call":
        return {"id": f"fc_{name}", **item, "status": "completed"}
    content = item["content"]
    parts = [_complete_part(one) for one in content] if isinstance(content, list) else content
    return {"id": f"msg_{name}", **item, "content": parts, "status": "completed"}


def _complete_part(part: Any) -> Any:
    is_text = isinstance(part, dict) and part.get("type") == "output_text"
    return {**part, "annotations": [], "logprobs": []} if is_text else part


def _is_item(raw: Any) -> bool:
    return isinstance(raw, dict) and (_is_message(raw) or isinstance(raw.get("type"), str))


def _is_message(raw: Item) -> bool:
    return raw.get("type", "message") == "message" and isinstance(raw.get("role"), str)


def _asks(raw: Item) -> bool:
    """Whether it is something the model is told."""
    if _is_message(raw):
        return bool(raw["role"] != "assistant")
    kind: str = raw["type"]
    return kind.endswith(("_output", "_response"))


def _groups(raw: Iterable[Item]) -> list[list[Item]]:
    """One for each message of ours: a new one begins with each turn, and with a second text in the same turn."""
    groups: list[list[Item]] = []
    has_text = False
    for item in raw:
        is_asked = _asks(item)
        begins = not groups or is_asked or _asks(groups[-1][0]) or (_is_message(item) and has_text)
        if begins:
            groups.append([])
            has_text = False
        groups[-1].append(item)
        has_text = has_text or _is_message(item)
    return groups


def _history(raw: list[Item]) -> Message:
    plain = Message(role="assistant", content=_words(raw), tool_calls=_wishes(raw))
    return plain if as_items(plain) == raw else turn(raw)


def _heard(raw: Item) -> Message:
    if _is_message(raw):
        message = Message(role=raw["role"], content=_parts(raw.get("content")))
    else:
        role = "tool" if raw["type"].endswith("_output") else "user"
        message = Message(role=role, content=_parts(raw.get("output")), tool_call_id=text(raw.get("call_id")))
    said = _question(message)
    left = leftover(raw, said)
    if merged(said, left) != raw:
        return replace(message, extra={_RAW: [raw]})
    return replace(message, extra={_LEFT: [left]}) if left else message


def _kept(message: Message) -> list[Item] | None:
    raw, left = message.extra.get(_RAW), message.extra.get(_LEFT)
    if isinstance(raw, list):
        return list(raw)
    if not isinstance(left, list):
        return None
    if message.role == "assistant":
        return woven(_speech(message), left)
    return [merged(_question(message), left[0])] if len(left) == 1 and isinstance(left[0], Mapping) else None


def _question(message: Message) -> Item:
    if message.role != "tool":
        return {"role": message.role, "content": _rendered(message.content, "input_text")}
    output = "" if message.content is None else _rendered(message.content, "input_text")
    return {"type": "function_call_output", "call_id": message.tool_call_id or "", "output": output}


def _easy(message: Message) -> list[Item]:
    if message.content is None:
        return []
    return [{"role": "assistant", "content": _rendered(message.content, "output_text")}]


def _speech(message: Message) -> list[Item]:
    """Items as the model says them."""
    content = message.content
    spoken = [{"type": "text", "text": content}] if isinstance(content, str) else content
    said: list[Item] = []
    if spoken is not None:
        said.append({"type": "message", "role": "assistant", "content": _rendered(spoken, "output_text")})
    return [*said, *map(_wish, message.tool_calls)]


def _spoken(raw: Sequence[Item]) -> list[Item | None]:
    """For each item what our words say of it; null when nothing."""
    said: list[Item | None] = []
    for item in raw:
        if item.get("type") == "function_call" and (call := _call(item)) is not None:
            said.append(_wish(call))
        elif _is_message(item) and (words := _words([item])) is not None:
            said.extend(_speech(Message(role="assistant", content=words)))
        else:
            said.append(None)
    return said


def _words(raw: Iterable[Item]) -> str | None:
    """The text of the messages among the items."""
    found = [words for item in raw if _is_message(item) for words in _texts(item.get("content"))]
    return "".join(found) if found else None


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    parts = [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []
    return [one["text"] for one in parts if one.get("type") in _TEXTS and isinstance(one.get("text"), str)]


def _refused(raw: Iterable[Item]) -> dict[str, Any]:
    """Where chat completions say it, so that both are read alike."""
    contents = [item.get("content") for item in raw if _is_message(item)]
    parts = [part for content in contents if isinstance(content, list) for part in content if isinstance(part, dict)]
    refusals = [part["refusal"] for part in parts if isinstance(part.get("refusal"), str)]
    return {"refusal": "".join(refusals)} if refusals else {}


def _wishes(raw: Iterable[Item]) -> tuple[ToolCall, ...]:
    return tuple(call for item in raw if (call := _call(item)) is not None)


def _call(raw: Item) -> ToolCall | None:
    match raw:
        case {"type": "function_call", "call_id": str() as name, "name": str() as tool, "arguments": str() as said}:
            return ToolCall(id=name, name=tool, arguments=said)
        case {"type": "custom_tool_call", "call_id": str() as name, "name": str() as tool, "input": str() as said}:
            return ToolCall(id=name, name=tool, arguments=said)  # free text; rendered from the item that is kept
    return None


def _wish(call: ToolCall) -> Item:
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _parts(content: Any) -> Any:
    """Parts in the words of chat completions, as messages of ours have them."""
    return [_part(one) for one in content] if isinstance(content, list) else content


def _part(raw: Any) -> Any:
    match raw:
        case {"type": "input_text", "text": str() as words}:
            return {"type": "text", "text": words}
        case {"type": "input_image", "image_url": str() as url}:
            detail = raw.get("detail")
            return {"type": "image_url", "image_url": {"url": url, **({"detail": detail} if detail else {})}}
        case {"type": "input_file"} if raw.keys() - {"type"} <= _FILE:
            return {"type": "file", "file": {name: value for name, value in raw.items() if name != "type"}}
    return raw


def _rendered(content: Any, kind: str) -> Any:
    return [_rendered_part(one, kind) for one in content] if isinstance(content, list) else content


def _rendered_part(part: Any, kind: str) -> Any:
    match part:
        case {"type": "text", "text": str() as words}:
            return {"type": kind, "text": words}
        case {"type": "image_url", "image_url": {"url": str() as url, **rest}}:
            return {"type": "input_image", **rest, "image_url": url}
        case {"type": "file", "file": dict() as file}:
            return {**file, "type": "input_file"}
    return part
