"""An answer of OpenAI's Responses that comes in pieces: put together into the body it would have been in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agl_core.wire._chat_values import text, whole
from agl_core.wire._errors import error_code
from agl_core.wire._responses_capture import Hidden
from agl_core.wire._responses_pieces import Piece
from agl_core.wire.sse import Sent, said

__all__ = ["Assembly"]

_STARTS = ("response.created", "response.queued", "response.in_progress")
_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
_GROWS = {
    "output_text": ("message", "text"),
    "refusal": ("message", "refusal"),
    "reasoning_text": ("reasoning", "text"),
    "reasoning_summary_text": ("reasoning", "text"),
    "function_call_arguments": ("function_call", "arguments"),
    "mcp_call_arguments": ("mcp_call", "arguments"),
    "custom_tool_call_input": ("custom_tool_call", "input"),
    "code_interpreter_call_code": ("code_interpreter_call", "code"),
}
"""What comes in deltas: of which type of item, and the field that grows, in the item or in its part."""
_PARTS = {
    "output_text": ("content", "output_text"),
    "refusal": ("content", "refusal"),
    "reasoning_text": ("content", "reasoning_text"),
    "reasoning_summary_text": ("summary", "summary_text"),
    "output_text.annotation": ("content", "output_text"),
    "content_part": ("content", ""),
    "reasoning_summary_part": ("summary", "summary_text"),
}
"""What is about a part of an item: in which list, and of which type it is while nothing else says so."""
_INDICES = {"content": "content_index", "summary": "summary_index", "annotations": "annotation_index"}
_HIDEABLE = (b"token_ids", b"logprobs")


class Assembly:
    """Of one answer."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._hidden = Hidden(asked)
        self._top: dict[str, Any] = {}
        self._items: dict[int, Piece] = {}
        self._is_whole = False
        self.error: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the response is completed, incomplete or failed, or the stream told an error."""
        return self._is_whole

    def add(self, event: Sent) -> bytes:
        """Take an event in, and show it without what was not asked for."""
        told = event.json()
        if told is None:
            return event.raw
        if not self._is_whole:
            self._take(told, text(told.get("type")) or event.event)
        if not any(name in event.raw for name in _HIDEABLE):
            return event.raw  # nearly all: not worth a comparison
        shown = self._hidden.of_event(told)
        return event.raw if shown == told else said(shown, event=event.event)

    def body(self) -> dict[str, Any]:
        """The response, as far as it has come."""
        body = dict(self._top)
        if self._items and not isinstance(body.get("output"), list):
            body["output"] = [self._items[index].said() for index in sorted(self._items)]
        return body

    def _take(self, told: dict[str, Any], kind: str | None) -> None:
        if kind == "error" or (kind is None and "error" in told):
            self._fail(told)
        elif kind in _STARTS:
            self._start(told.get("response"))
        elif kind is not None:
            name, _, step = kind.removeprefix("response.").rpartition(".")
            if kind in _ENDS:
                self._end(step, told.get("response"))
            else:
                self._take_piece(name, step, told)

    def _start(self, response: Any) -> None:
        if not isinstance(response, dict):
            return
        self._top = {name: value for name, value in response.items() if name != "output"}
        output = response.get("output")
        for index, item in enumerate(output if isinstance(output, list) else ()):
            if isinstance(item, dict):
                self._items.setdefault(index, Piece({})).begin(item)

    def _end(self, status: str, response: Any) -> None:
        self._is_whole = True
        self._top = dict(response) if isinstance(response, dict) else {**self._top, "status": status}
        if status == "failed":
            error = self._top.get("error")
            self.error = error_code(500, {"error": error}) if isinstance(error, dict) else "response_failed"

    def _fail(self, told: dict[str, Any]) -> None:
        self._is_whole = True
        self.error = error_code(500, told)
        details = told["error"] if isinstance(told.get("error"), dict) else told
        self._top["status"] = "failed"
        self._top["error"] = {"code": self.error, "message": text(details.get("message")) or ""}

    def _take_piece(self, name: str, step: str, told: dict[str, Any]) -> None:
        index = whole(told.get("output_index")) or 0
        if name == "output_item":
            _say(self._items.setdefault(index, Piece({})), step, told.get("item"))
        elif name in _GROWS:
            self._grow(self._item(index, _GROWS[name][0]), name, step, told)
        elif name in _PARTS:
            part = _part(self._item(index, "message" if _PARTS[name][0] == "content" else "reasoning"), name, told)
            if name == "output_text.annotation":
                _say(_place(part, "annotations", told), "done", told.get("annotation"))  # each comes in one
            else:
                _say(part, step, told.get("part"))
        elif index in self._items and self._items[index].type == name:
            self._items[index].put("status", step)  # as the calls of built-in tools tell where they are

    def _item(self, index: int, kind: str) -> Piece:
        if index not in self._items:
            self._items[index] = Piece({"type": kind, **({"role": "assistant"} if kind == "message" else {})})
        return self._items[index]

    def _grow(self, item: Piece, name: str, step: str, told: dict[str, Any]) -> None:
        field = _GROWS[name][1]
        grown = _part(item, name, told) if name in _PARTS else item
        piece = text(told.get("delta" if step == "delta" else field))
        if step == "delta" and piece is not None:
            grown.grow(field, piece)
            entries = told.get("logprobs")
            if isinstance(entries, list) and entries:
                grown.extend("logprobs", entries)
        elif step == "done" and piece is not None:
            grown.settle(field, piece)


def _part(item: Piece, name: str, told: dict[str, Any]) -> Piece:
    where, kind = _PARTS[name]
    return _place(item, where, told, type=kind) if kind else _place(item, where, told)


def _place(piece: Piece, where: str, told: dict[str, Any], **fields: str) -> Piece:
    return piece.part(where, whole(told.get(_INDICES[where])) or 0, fields)


def _say(piece: Piece, step: str, fields: Any) -> None:
    if not isinstance(fields, dict):
        return
    if step == "added":
        piece.begin(fields)
    else:
        piece.end(fields)
