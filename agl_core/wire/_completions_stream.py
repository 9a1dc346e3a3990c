"""A streamed text completion, put together as it comes, and what its asker sees of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agl_core.wire import _chat_values as values
from agl_core.wire._errors import error_code
from agl_core.wire.sse import Sent, said

__all__ = ["Pieces", "strip_capture", "wants_usage"]

_FRAME = frozenset({"id", "object", "created", "model", "system_fingerprint", "service_tier", "choices"})
"""What every chunk has: one that has no more says nothing."""


def strip_capture(response: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """`response` without the token ids and log-probabilities that the request `asked` did not want."""
    shown = dict(response)
    hide_ids = not asked.get("return_token_ids")
    hide_logprobs = asked.get("logprobs") is None  # 0 asks too: for no token but the one that was sampled
    choices = shown.get("choices")
    if isinstance(choices, list) and (hide_ids or hide_logprobs):
        shown["choices"] = [_strip(choice, ids=hide_ids, logprobs=hide_logprobs) for choice in choices]
    return shown


def wants_usage(asked: Mapping[str, Any]) -> bool:
    """Whether the asker of a stream is to see what it used."""
    options = asked.get("stream_options")
    return isinstance(options, dict) and bool(options.get("include_usage"))


class Pieces:
    """The answer as far as it has come: what is text or a list goes on, of all else the last word holds."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self.error: str | None = None
        self._asked = asked
        self._expected = _expected(asked)
        self._frame: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}
        self._is_done = False

    @property
    def is_whole(self) -> bool:
        """After `[DONE]`, or when every choice that was asked for has come to its end."""
        choices = self._choices.values()
        return self._is_done or (len(choices) >= self._expected and all(one.is_finished for one in choices))

    def add(self, event: Sent) -> bytes:
        """Take an event in; its own bytes unless there is something in it that was asked for the record alone."""
        if event.data is not None and event.data.startswith("[DONE]"):
            self._is_done = True
        chunk = event.json()
        if chunk is None:
            return event.raw
        if not self._is_done:
            self._take(chunk)
        shown = _shown(chunk, self._asked)
        if shown is None:
            return b""
        return event.raw if shown == chunk else said(shown, event=event.event)

    def body(self) -> dict[str, Any]:
        """The answer as if it had not been streamed."""
        choices = [choice.body() for _, choice in sorted(self._choices.items())]
        return {**self._frame, "choices": choices} if choices else dict(self._frame)

    def _take(self, chunk: dict[str, Any]) -> None:
        if chunk.get("error") and self.error is None:
            self.error = _word(chunk)
        for name, value in chunk.items():
            if name != "choices" and (value is not None or name not in self._frame):
                self._frame[name] = value
        choices = chunk.get("choices")
        for place, raw in enumerate(choices if isinstance(choices, list) else ()):
            if isinstance(raw, dict):
                index = values.whole(raw.get("index"))
                index = place if index is None else index
                self._choices.setdefault(index, _Choice(index)).take(raw)


class _Choice:
    """One choice of the answer."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._texts: list[str] = []
        self._ids: list[Any] = []
        self._is_ids_broken = False
        self._logprobs: dict[str, Any] | None = None
        self._rest: dict[str, Any] = {"finish_reason": None}

    @property
    def is_finished(self) -> bool:
        return self._rest["finish_reason"] is not None

    def take(self, raw: dict[str, Any]) -> None:
        text, ids, logprobs = values.text(raw.get("text")), raw.get("token_ids"), raw.get("logprobs")
        if text:
            self._texts.append(text)
        if isinstance(ids, list):
            self._ids += ids
        elif text or ids is not None:
            self._is_ids_broken = True  # text came without its ids: those that are there are not all of them
        if isinstance(logprobs, dict):
            self._logprobs = _longer(self._logprobs or {}, logprobs)
        for name, value in raw.items():
            if name not in _GROWING and (value is not None or name not in self._rest):
                self._rest[name] = value

    def body(self) -> dict[str, Any]:
        logprobs = self._logprobs
        if logprobs is not None:  # those here go on growing
            logprobs = {name: list(value) if isinstance(value, list) else value for name, value in logprobs.items()}
        body = {"index": self._index, "text": "".join(self._texts), "logprobs": logprobs, **self._rest}
        if self._ids and not self._is_ids_broken:
            body["token_ids"] = list(self._ids)
        return body


_GROWING = frozenset({"index", "text", "token_ids", "logprobs"})


def _longer(before: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """In place, list by list: a new list for each piece would take quadratic time."""
    for name, value in more.items():
        known = before.get(name)
        if isinstance(known, list) and isinstance(value, list):
            known += value
        elif value is not None or name not in before:
            before[name] = value
    return before


def _strip(choice: Any, *, ids: bool, logprobs: bool) -> Any:
    if not isinstance(choice, dict):
        return choice
    shown = dict(choice)
    if ids:
        shown.pop("token_ids", None)
        shown.pop("prompt_token_ids", None)
    if logprobs and "logprobs" in shown:
        shown["logprobs"] = None  # as providers answer who did not ask
    return shown


def _shown(chunk: dict[str, Any], asked: Mapping[str, Any]) -> dict[str, Any] | None:
    shown = strip_capture(chunk, asked)
    if wants_usage(asked) or chunk.get("usage") is None:
        return shown
    del shown["usage"]
    has_more = bool(shown.get("choices")) or any(shown[name] is not None for name in shown.keys() - _FRAME)
    return shown if has_more else None


def _expected(asked: Mapping[str, Any]) -> int:
    """Choices that were asked for: until all are seen, those that have finished may not be all there are."""
    prompt, n = asked.get("prompt"), values.whole(asked.get("n"))
    several = prompt if isinstance(prompt, list) and all(isinstance(one, (str, list)) for one in prompt) else ()
    return max(1, len(several)) * max(1, n or 1)


def _word(chunk: dict[str, Any]) -> str:
    error = chunk["error"]
    status = values.whole(error.get("code")) if isinstance(error, dict) else None
    return error_code(status or 500, chunk)
