"""An Anthropic message that comes in pieces: put together into the body it would have been in one, and cut again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agl_core.wire._anthropic_blocks import are_blocks, arguments, tool_input
from agl_core.wire._errors import error_code
from agl_core.wire.sse import Sent, said

__all__ = ["TOKENS", "Assembly", "render"]

TOKENS = ("prompt_token_ids", "token_ids")
"""What an engine may say beside Anthropic's words, in a body or in any event, if it is asked for."""

_GROWS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("partial_json", "input"),
    "citations_delta": ("citation", "citations"),
}
"""Deltas that add to a block: what they bring, and the field it goes to. Any other delta sets its fields."""
_LATE = ("stop_reason", "stop_sequence", "stop_details", "container")
"""Fields of a message that are known at its end."""


class Assembly:
    """Of one message."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._hides_ids = not asked.get("return_token_ids")
        self._message: dict[str, Any] | None = None
        self._blocks: dict[int, _Block] = {}
        self._token_ids: list[Any] = []
        self._failure: dict[str, Any] | None = None
        self._is_over = False
        self._has_stopped = False
        self.error: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the mark of the end has come, or why the model stopped: some hang up at that, and miss nothing."""
        return self._is_over or self._has_stopped

    def add(self, event: Sent) -> bytes:
        """Take an event in, and show it without the token ids that were not asked for."""
        found = event.json()
        if found is None:
            return event.raw
        if not self._is_over:
            self._take(found, found.get("type", event.event))
        return self._shown(found, event)

    def body(self) -> dict[str, Any]:
        """The message, as far as it has come; of a stream that only told an error, the error."""
        if self._message is None and not self._blocks:
            return dict(self._failure or {})
        body = dict(self._message or {})
        if self._blocks or "content" not in body:
            body["content"] = [self._blocks[index].whole() for index in sorted(self._blocks)]
        if self._token_ids:
            body["token_ids"] = list(self._token_ids)
        if self._failure is not None and "error" in self._failure:
            body["error"] = self._failure["error"]
        return body

    def _take(self, found: dict[str, Any], kind: Any) -> None:
        index = found.get("index")
        match kind, found:
            case "message_start", {"message": dict(message)}:
                self._begin(message)
            case "content_block_start", {"content_block": dict(block)} if type(index) is int:
                self._blocks[index] = _Block(dict(block))
            case "content_block_delta", {"delta": dict(delta)}:
                self._more_ids(found)
                self._more_ids(delta)
                if type(index) is int and index in self._blocks:
                    self._blocks[index].add(delta)
            case "message_delta" | "message_stop", _:
                self._end(found)
                self._is_over = kind == "message_stop"
            case "error", _:
                self.error, self._failure = error_code(500, found), found

    def _begin(self, message: dict[str, Any]) -> None:
        self._message = dict(message)
        self._token_ids = []
        self._more_ids(self._message, takes_away=True)
        content = message.get("content")
        self._blocks = (
            {index: _Block(dict(block)) for index, block in enumerate(content)} if are_blocks(content) else {}
        )

    def _end(self, found: dict[str, Any]) -> None:
        message = {} if self._message is None else self._message
        self._message = message
        delta, usage = found.get("delta"), found.get("usage")
        for told in (delta if isinstance(delta, dict) else {}, found):
            self._has_stopped |= isinstance(told.get("stop_reason"), str)
            self._more_ids(told)
            _set(message, {name: value for name, value in told.items() if name not in _ENVELOPE})
        if isinstance(usage, dict) and usage:
            known = message.get("usage")
            counted = dict(known) if isinstance(known, dict) else {}
            _set(counted, usage)  # counts are cumulative
            message["usage"] = counted

    def _more_ids(self, found: dict[str, Any], *, takes_away: bool = False) -> None:
        ids = found.get("token_ids")
        if isinstance(ids, list) and ids:
            self._token_ids += ids
            if takes_away:
                del found["token_ids"]

    def _shown(self, found: dict[str, Any], event: Sent) -> bytes:
        if not self._hides_ids or b"token_ids" not in event.raw:
            return event.raw
        shown = _without_ids(found)
        for name in ("message", "delta"):
            if isinstance(found.get(name), dict):
                shown[name] = _without_ids(found[name])
        return event.raw if shown == found else said(shown, event=event.event)


_ENVELOPE = frozenset({"type", "delta", "usage", "token_ids"})


@dataclass(slots=True)
class _Block:
    """A content block that grows."""

    start: dict[str, Any]
    pieces: dict[str, list[Any]] = field(default_factory=dict)
    """By field."""

    def add(self, delta: dict[str, Any]) -> None:
        kind = delta.get("type")
        grows = _GROWS.get(kind) if isinstance(kind, str) else None
        if grows is None:
            self.start.update({name: value for name, value in delta.items() if name not in ("type", "token_ids")})
            return
        brought, name = grows
        piece = delta.get(brought)
        if isinstance(piece, str) or (name == "citations" and piece is not None):
            self.pieces.setdefault(name, []).append(piece)

    def whole(self) -> dict[str, Any]:
        block = dict(self.start)
        for name, pieces in self.pieces.items():
            before = block.get(name)
            if name == "citations":
                block[name] = [*(before if isinstance(before, list) else ()), *pieces]
            elif name != "input":
                block[name] = "".join([before if isinstance(before, str) else "", *pieces])
            elif text := "".join(pieces):
                block[name] = tool_input(text)
        return block


def _set(whole: dict[str, Any], more: Mapping[str, Any]) -> None:
    """What is said last counts, but saying nothing takes nothing back."""
    for name, value in more.items():
        if value is not None or name not in whole:
            whole[name] = value


def _without_ids(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in TOKENS}


def render(body: Mapping[str, Any]) -> list[bytes]:
    """The events in which a body is streamed, each block in one delta."""
    if body.get("type") == "error":
        return [said(body, event="error")]
    return [said(event, event=event["type"]) for event in _events(body)]


def _events(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    usage, content, ids = body.get("usage"), body.get("content", []), body.get("token_ids")
    message = {**body, **{name: None for name in _LATE if name in body}, "content": content}
    if isinstance(usage, dict) and type(usage.get("output_tokens")) is int:
        message["usage"] = {**usage, "output_tokens": 0}
    if isinstance(ids, list) and ids:
        del message["token_ids"]
    blocks = content if are_blocks(content) else []
    if blocks:
        message["content"] = []
    yield {"type": "message_start", "message": message}
    for index, block in enumerate(blocks):
        start, deltas = _cut(block)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    # Clients read the usage of this event unasked: without the field they raise.
    end: dict[str, Any] = {"type": "message_delta", "delta": {name: body[name] for name in _LATE if name in body}}
    end["usage"] = usage if isinstance(usage, dict) else {}
    if isinstance(ids, list) and ids:
        end["token_ids"] = ids
    yield end
    yield {"type": "message_stop"}


def _cut(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How the block begins, and what follows."""
    match block:
        case {"type": "text", "text": str(text)}:
            start, deltas = {**block, "text": ""}, [{"type": "text_delta", "text": text}] if text else []
            citations = block.get("citations")
            if isinstance(citations, list) and None not in citations:
                start["citations"] = []
                deltas += [{"type": "citations_delta", "citation": one} for one in citations]
            return start, deltas
        case {"type": "thinking", "thinking": str(thought)}:
            start, deltas = {**block, "thinking": ""}, [{"type": "thinking_delta", "thinking": thought}]
            if isinstance(block.get("signature"), str):
                start["signature"] = ""
                deltas.append({"type": "signature_delta", "signature": block["signature"]})
            return start, deltas
        case {"input": dict(asked)} if asked and (written := arguments(asked)):
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": written}]
    return block, []
