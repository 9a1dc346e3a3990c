"""OpenAI embeddings to `ModelCall` and back: texts without turns, an answer without choices.

The vectors stay in `extra` with the rest of the answer, as they came; there are no streams.
"""

# ruff: noqa: ARG001 - a dialect's functions take what the Protocol promises, used or not

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agl_core.events import ModelCall, Usage
from agl_core.wire import _chat_values as values
from agl_core.wire._json import read
from agl_core.wire._leftover import leftover, merged
from agl_core.wire._prompts import prompts, render_prompts
from agl_core.wire.openai_chat import broken, refusal
from agl_core.wire.sse import Sent

__all__ = [
    "NAME",
    "ROUTE",
    "Noise",
    "add_capture",
    "assembly",
    "broken",
    "read",
    "refusal",
    "render_request",
    "render_response",
    "render_stream",
    "request",
    "response",
    "strip_capture",
]

NAME = "openai.embeddings"
ROUTE = "embeddings"

_ANSWER = "$response"
"""In `extra`: what the response said beside our words. No request field is called so."""


class Noise:
    """The assembly of answers that do not come in pieces: it lets pass what it does not understand."""

    is_whole = False
    error: str | None = None

    def add(self, event: Sent) -> bytes:
        """The event's own bytes."""
        return event.raw

    def body(self) -> dict[str, Any]:
        """Nothing has been said."""
        return {}


def request(body: Mapping[str, Any]) -> ModelCall:
    """What is to be embedded; `render_request` gives back every field of `body`."""
    messages, ids = prompts(body.get("input"))
    rest = {name: value for name, value in body.items() if name != _ANSWER}
    model = values.text(body.get("model")) or ""
    call = ModelCall(model=model, messages=messages, prompt_token_ids=ids, dialect=NAME)
    return replace(call, extra=leftover(rest, _say_request(call)))


def render_request(call: ModelCall) -> dict[str, Any]:
    """The body that asks for `call`; a chat is one text."""
    return merged(_say_request(call), _asked(call))


def response(call: ModelCall, body: Mapping[str, Any], *, logprobs_mode: str | None = None) -> ModelCall:
    """`call` with what it used; nothing is sampled here, so `logprobs_mode` says nothing of it."""
    extra = _asked(call) if call.dialect == NAME else dict(call.extra)
    answered = replace(call, usage=_usage(body.get("usage")), response_id=values.text(body.get("id")), extra=extra)
    left = leftover(body, _say_response(answered))
    if left and call.dialect == NAME:
        extra[_ANSWER] = left  # in the call's own: nobody else has seen it yet
    return answered


def render_response(call: ModelCall) -> dict[str, Any]:
    """The answer of `call`; a call of another dialect has no vectors."""
    if call.dialect != NAME:
        return {"object": "list", "data": [], "model": call.model, **_say_response(call)}
    return merged(_say_response(call), call.extra.get(_ANSWER, {}))


def render_stream(call: ModelCall) -> list[bytes]:
    """No events: nobody streams vectors."""
    return []


def assembly(asked: Mapping[str, Any]) -> Noise:
    """For what nobody should send: a streamed answer."""
    return Noise()


def add_capture(body: Mapping[str, Any], *, token_ids: bool = True, logprobs: bool = True) -> dict[str, Any]:
    """`body` as it is: there is no more to ask for."""
    return dict(body)


def strip_capture(response: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """`response` as it is: nothing was asked for that the asker did not want."""
    return dict(response)


def _asked(call: ModelCall) -> dict[str, Any]:
    if call.dialect != NAME:
        return {}  # fields of another dialect, that mean something else here or nothing
    return {name: value for name, value in call.extra.items() if name != _ANSWER}


def _say_request(call: ModelCall) -> dict[str, Any]:
    texts = render_prompts(call)
    return {"model": call.model} if texts is None else {"model": call.model, "input": texts}


def _say_response(call: ModelCall) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    if call.response_id is not None:
        answer["id"] = call.response_id
    if call.usage != Usage():
        prompt, completion = call.usage.prompt_tokens, call.usage.completion_tokens
        answer["usage"] = {"prompt_tokens": prompt, "total_tokens": prompt + completion}
    return answer


def _usage(raw: Any) -> Usage:
    if not isinstance(raw, dict):
        return Usage()
    prompt, completion = values.whole(raw.get("prompt_tokens")), values.whole(raw.get("completion_tokens"))
    return Usage(prompt_tokens=prompt or 0, completion_tokens=completion or 0)
