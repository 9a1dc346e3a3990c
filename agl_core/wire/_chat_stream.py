"""A chat completion that comes in pieces: put together into the body it would have been in one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agl_core.wire._errors import error_code
from agl_core.wire.sse import Sent, said

__all__ = ["Assembly", "render", "strip"]

_DONE = "[DONE]"
_SET = frozenset({"id", "index", "role", "type"})
"""Fields of a delta that name something: said again, they are not said twice."""
_BUILT_UP = frozenset({"delta", "index", "logprobs", "message", "token_ids"})
"""Fields of a choice that chunks add to; what else they say counts as it was said last."""
_WHOLE = frozenset({"finish_reason", "stop_reason"})
"""Fields of a choice that are said once, at its end."""


class Assembly:
    """Of one answer."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        options = asked.get("stream_options")
        self._hides_ids = not asked.get("return_token_ids")
        self._hides_logprobs = not asked.get("logprobs")
        self._hides_usage = not (isinstance(options, dict) and options.get("include_usage"))
        self._top: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._is_done = False
        self._wanted = n if type(n := asked.get("n")) is int else 1
        self.error: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the mark of the end has come, or every choice that was asked for has its end: some send no mark."""
        ended = sum(bool(one.get("finish_reason")) for one in self._choices.values())
        return self._is_done or (bool(ended) and ended == len(self._choices) >= self._wanted)

    def add(self, event: Sent) -> bytes:
        """Take a chunk in, and show it without what was not asked for."""
        if event.data == _DONE:
            self._is_done = True
            return event.raw
        chunk = event.json()
        if chunk is None:
            return event.raw
        if "error" in chunk:
            self.error = error_code(500, chunk)
        self._take(chunk)
        return self._shown(chunk, event.raw)

    def body(self) -> dict[str, Any]:
        """The completion, as far as it has come."""
        body = dict(self._top)
        if self._choices:
            body["object"] = "chat.completion"
            body["choices"] = [_settled(self._choices[index]) for index in sorted(self._choices)]
        return body

    def _take(self, chunk: dict[str, Any]) -> None:
        for name, value in chunk.items():
            if name == "choices":
                for raw in value if isinstance(value, list) else ():
                    if isinstance(raw, dict):
                        self._take_choice(raw)
            elif value is not None or name not in self._top:
                self._top[name] = value

    def _take_choice(self, raw: dict[str, Any]) -> None:
        index = raw.get("index")
        index = index if type(index) is int else 0
        choice = self._choices.setdefault(index, {"index": index, "message": {}, "logprobs": None})
        for name, value in raw.items():
            match name, value:
                case "delta", dict():
                    _merge(choice["message"], value)
                case "message", dict():  # said whole at the end, by servers that repeat themselves
                    choice[name] = dict(value)
                case "token_ids", list():
                    choice.setdefault(name, []).extend(value)
                case "logprobs", dict():
                    choice[name] = choice[name] or {}
                    _merge(choice[name], value)
                case _ if name not in _BUILT_UP and (value is not None or name not in choice):
                    choice[name] = value

    def _shown(self, chunk: dict[str, Any], raw: bytes) -> bytes:
        choices = chunk.get("choices")
        has_usage = self._hides_usage and "usage" in chunk
        has_ids = self._hides_ids and "prompt_token_ids" in chunk
        hidden = [name for name, is_there in (("usage", has_usage), ("prompt_token_ids", has_ids)) if is_there]
        listed = choices if isinstance(choices, list) else []
        if has_usage and not listed and isinstance(choices, list):
            return b""  # the chunk that usage has for itself
        if not hidden and not any(self._tells_too_much(one) for one in listed):
            return raw
        shown = {name: value for name, value in chunk.items() if name not in hidden}
        if listed:
            shown["choices"] = [strip(one, ids=self._hides_ids, logprobs=self._hides_logprobs) for one in listed]
        return said(shown)

    def _tells_too_much(self, choice: Any) -> bool:
        return isinstance(choice, dict) and (
            (self._hides_ids and "token_ids" in choice) or (self._hides_logprobs and choice.get("logprobs") is not None)
        )


def strip(choice: Any, *, ids: bool, logprobs: bool) -> Any:
    """A choice, whole or in pieces, without its token ids, without its log-probabilities."""
    if not isinstance(choice, dict):
        return choice
    shown = dict(choice)
    if ids:
        shown.pop("token_ids", None)
    if logprobs and "logprobs" in shown:
        shown["logprobs"] = None  # as providers answer who did not ask
    return shown


def _settled(choice: dict[str, Any]) -> dict[str, Any]:
    """Without the places of its tool calls, which only a stream has."""
    calls = choice["message"].get("tool_calls")
    if not isinstance(calls, list):
        return choice
    placed = [
        {name: value for name, value in call.items() if name != "index"} if isinstance(call, dict) else call
        for call in calls
    ]
    return {**choice, "message": {**choice["message"], "tool_calls": placed}}


def _merge(whole: dict[str, Any], delta: dict[str, Any]) -> None:
    """What is text grows, what is a list grows or is merged by `index`; all else is as it was said last."""
    for name, value in delta.items():
        before = whole.get(name)
        if isinstance(value, list) and isinstance(before, list | None):
            whole[name] = _joined(before or [], value)
        elif before is None or (value is not None and name in _SET):
            whole[name] = dict(value) if isinstance(value, dict) else value
        elif isinstance(value, str) and isinstance(before, str):
            whole[name] = before + value
        elif isinstance(value, dict) and isinstance(before, dict):
            _merge(before, value)
        elif value is not None:
            whole[name] = value


def _joined(before: list[Any], pieces: list[Any]) -> list[Any]:
    """Parts that bear an index go to their own; those that bear none follow."""
    for piece in pieces:
        place = piece.get("index") if isinstance(piece, dict) else None
        if type(place) is not int:
            before.append(piece)
            continue
        same = next((one for one in before if isinstance(one, dict) and one.get("index") == place), None)
        if same is None:
            same = {}
            before.append(same)
        _merge(same, piece)
    return before


def render(body: Mapping[str, Any], *, usage: bool) -> list[bytes]:
    """The events in which a completion is streamed: a chunk for each choice, one for its end, usage if asked for."""
    choices = body.get("choices")
    top = {name: value for name, value in body.items() if name not in ("choices", "usage", "prompt_token_ids")}
    top["object"] = "chat.completion.chunk"
    events = []
    first = {"prompt_token_ids": body["prompt_token_ids"]} if "prompt_token_ids" in body else {}
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        said_ = {name: value for name, value in choice.items() if name not in ("message", *_WHOLE)}
        delta = _delta(choice.get("message"))
        events.append(said({**top, **first, "choices": [{**said_, "delta": delta, "finish_reason": None}]}))
        last = {name: choice[name] for name in _WHOLE if name in choice}
        events.append(said({**top, "choices": [{"index": choice.get("index", 0), "delta": {}, **last}]}))
        first = {}
    if usage and "usage" in body:
        events.append(said({**top, "choices": [], "usage": body["usage"]}))
    return [*events, said(_DONE)]


def _delta(message: Any) -> dict[str, Any]:
    if not isinstance(message, dict):
        return {}
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return message
    return {**message, "tool_calls": [_placed(place, call) for place, call in enumerate(calls)]}


def _placed(place: int, call: Any) -> Any:
    return {"index": place, **call} if isinstance(call, dict) else call
