"""OpenAI chat completions, and what vLLM adds to them, to `ModelCall` and back.

What a payload says and a `ModelCall` has no word for stays in `extra` (a message's in the message), as it came:
rendering puts it back. Parsers never raise: a field that is not what it should be counts as one without a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agl_core.events import Choice, Message, ModelCall, Sampling, Tool, Usage
from agl_core.wire import _chat_stream as stream
from agl_core.wire import _chat_values as values
from agl_core.wire._demands import in_chat
from agl_core.wire._json import json_object
from agl_core.wire._leftover import leftover, merged
from agl_core.wire._reading import lean
from agl_core.wire._words import in_words
from agl_core.wire.dialect import Assembly
from agl_core.wire.sse import said

__all__ = [
    "NAME",
    "ROUTE",
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

NAME = "openai.chat"
ROUTE = "chat/completions"
_ANSWER = "$response"
"""In `extra`: what the response said beside our words. No request field is called so."""


def request(body: Mapping[str, Any]) -> ModelCall:
    """What is asked; `render_request` gives back every field of `body`."""
    model = values.text(body.get("model")) or ""
    messages = values.messages(body.get("messages"))
    tools = values.tools(body.get("tools"))
    sampling = values.sampling(body)
    # Messages keep their own leftovers, so a chat that was understood is not compared again.
    skip = "messages" if messages else None
    rest = {name: value for name, value in body.items() if name not in (skip, _ANSWER)}
    said = _say_request(rest, model=model, tools=tools, sampling=sampling)
    return ModelCall(
        model=model, messages=messages, tools=tools, sampling=sampling, extra=leftover(rest, said), dialect=NAME
    )


def render_request(call: ModelCall) -> dict[str, Any]:
    """The body that asks for `call`."""
    demanded = {} if call.dialect == NAME else in_chat(call)
    call = in_words(call, NAME)
    extra = _asked(call)
    said = _say_request(extra, model=call.model, tools=call.tools, sampling=call.sampling)
    if call.messages or "messages" not in extra:
        said["messages"] = [values.render_message(message) for message in call.messages]
    return merged(said | demanded, extra)


def read(raw: bytes, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to `asked`, from its bytes; of log-probabilities that it did not want, only the numbers."""
    found = None if asked.get("logprobs") else lean(raw)
    return json_object(raw) if found is None else found


def response(call: ModelCall, body: Mapping[str, Any], *, logprobs_mode: str | None = None) -> ModelCall:
    """`call` with its answer; `render_response` gives back every field that the asker is to see.

    `logprobs_mode` is what the endpoint says of its log-probabilities; a call without any has none.
    """
    choices = _choices(body.get("choices"))
    prompt = values.token_ids(body.get("prompt_token_ids"))
    asked = _asked(call)
    answered = replace(
        call,
        choices=choices,
        prompt_token_ids=prompt,
        usage=_usage(body.get("usage")),
        response_id=values.text(body.get("id")),
        provenance="engine" if prompt and choices and all(one.token_ids for one in choices) else "absent",
        logprobs_mode=logprobs_mode if any(one.logprobs for one in choices) else None,
        extra=asked,
    )
    left = leftover(strip_capture(body, asked), _say_response(answered, asked))
    if left:
        asked[_ANSWER] = left  # in the `extra` above: nobody else has seen it yet
    return answered


def render_response(call: ModelCall) -> dict[str, Any]:
    """The answer of `call` as its asker saw it: with token ids and log-probabilities only if they were asked for."""
    call = in_words(call, NAME)
    return merged(_say_response(call, _asked(call)), call.extra.get(_ANSWER, {}))


def render_stream(call: ModelCall) -> list[bytes]:
    """The answer as the chunks of a stream."""
    options = in_words(call, NAME).extra.get("stream_options")
    return stream.render(render_response(call), usage=isinstance(options, dict) and bool(options.get("include_usage")))


def assembly(asked: Mapping[str, Any]) -> Assembly:
    """Puts the streamed answer to `asked` together."""
    return stream.Assembly(asked)


def add_capture(body: Mapping[str, Any], *, token_ids: bool = True, logprobs: bool = True) -> dict[str, Any]:
    """`body`, asking also for the tokens that are sampled, how likely they were, and usage at the end of a stream."""
    wanted: dict[str, Any] = {"return_token_ids": token_ids, "logprobs": logprobs}
    asking = {**body, **{name: True for name, want in wanted.items() if want}}
    if body.get("stream"):
        options = body.get("stream_options") or {}
        if isinstance(options, dict):  # else the endpoint is to refuse it
            asking["stream_options"] = {**options, "include_usage": True}
    return asking


def strip_capture(response: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """`response` without the token ids and log-probabilities that the request `asked` did not want."""
    shown = dict(response)
    hide_ids = not asked.get("return_token_ids")
    hide_logprobs = not asked.get("logprobs")
    if hide_ids:
        shown.pop("prompt_token_ids", None)
    choices = shown.get("choices")
    if isinstance(choices, list) and (hide_ids or hide_logprobs):
        shown["choices"] = [stream.strip(choice, ids=hide_ids, logprobs=hide_logprobs) for choice in choices]
    return shown


def refusal(status: int, code: str, message: str) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    kind = _KINDS.get(status, "invalid_request_error" if status < _SERVER else "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def broken(code: str, message: str) -> bytes:
    """An error in the middle of a stream; OpenAI's clients raise on it."""
    return said(refusal(_SERVER, code, message))


_SERVER = 500
_KINDS = {401: "authentication_error", 409: "conflict_error"}


def _asked(call: ModelCall) -> dict[str, Any]:
    return {name: value for name, value in call.extra.items() if name != _ANSWER}


def _say_request(raw: Mapping[str, Any], *, model: str, tools: tuple[Tool, ...], sampling: Sampling) -> dict[str, Any]:
    said: dict[str, Any] = {"model": model, **values.render_sampling(sampling)}
    if "max_completion_tokens" in raw:
        said.pop("max_tokens", None)  # the newer name of the same limit; both at once are refused by providers
    if tools:
        said["tools"] = [values.render_tool(tool) for tool in tools]
    return said


def _say_response(call: ModelCall, asked: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if call.response_id is not None:
        said["id"] = call.response_id
    if call.usage != Usage():
        prompt, completion = call.usage.prompt_tokens, call.usage.completion_tokens
        said["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
    if not call.choices:
        return said
    ids = bool(asked.get("return_token_ids"))
    if ids and call.prompt_token_ids:
        said["prompt_token_ids"] = list(call.prompt_token_ids)
    said["object"] = "chat.completion"
    said["model"] = call.model
    said["choices"] = [_say_choice(index, choice, ids=ids) for index, choice in enumerate(call.choices)]
    return said


def _say_choice(index: int, choice: Choice, *, ids: bool) -> dict[str, Any]:
    said = {
        "index": index,
        "message": values.render_message(choice.message),
        "logprobs": None,
        "finish_reason": choice.finish_reason,
    }
    if ids and choice.token_ids:
        said["token_ids"] = list(choice.token_ids)
    return said


def _choices(raw: Any) -> tuple[Choice, ...]:
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        return ()
    turns = values.messages([_turn(one.get("message")) for one in raw])
    return tuple(_choice(one, turn) for one, turn in zip(raw, turns, strict=False))


def _turn(raw: Any) -> Any:
    return {"role": "assistant", **raw} if isinstance(raw, dict) else raw  # some servers leave the role out


def _choice(raw: dict[str, Any], message: Message) -> Choice:
    ids = values.token_ids(raw.get("token_ids"))
    return Choice(
        message=message,
        finish_reason=values.text(raw.get("finish_reason")),
        token_ids=ids,
        logprobs=_logprobs(raw.get("logprobs"), len(ids)),
    )


def _logprobs(raw: Any, length: int) -> tuple[float, ...]:
    entries = raw.get("content") if isinstance(raw, dict) else None
    if not isinstance(entries, list) or len(entries) != length:
        return ()
    try:
        return values.numbers([one if type(one) is float else one["logprob"] for one in entries])
    except (TypeError, KeyError):
        return ()


def _usage(raw: Any) -> Usage:
    if not isinstance(raw, dict):
        return Usage()
    prompt, completion = values.whole(raw.get("prompt_tokens")), values.whole(raw.get("completion_tokens"))
    return Usage(prompt_tokens=prompt or 0, completion_tokens=completion or 0)
