"""Anthropic messages to `ModelCall` and back.

What a payload says and a `ModelCall` has no word for stays in `extra` (a message's in the message): rendering puts it
back. Parsers never raise: a field that is not what it should be counts as one without a word. Images are in OpenAI
chat terms, other blocks that OpenAI has no word for are content parts as they came, and thoughts are in `extra`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agl_core.events import Choice, ModelCall, Sampling, Usage
from agl_core.wire import _anthropic_stream as stream
from agl_core.wire import _anthropic_tools as tools
from agl_core.wire import _anthropic_turns as turns
from agl_core.wire import _chat_values as values
from agl_core.wire._anthropic_blocks import are_blocks
from agl_core.wire._demands import in_anthropic
from agl_core.wire._json import read
from agl_core.wire._leftover import leftover, merged
from agl_core.wire._words import in_words
from agl_core.wire.dialect import Assembly
from agl_core.wire.sse import said

__all__ = [
    "NAME",
    "ROUTE",
    "THREAD_UNSUPPORTED",
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

NAME = "anthropic.messages"
ROUTE = "messages"
THREAD_UNSUPPORTED = "thread_unsupported_request"
"""The code by which a client hears that nobody here keeps its chat (`thread`)."""

_ANSWER = "$response"
"""In `extra`: what the response said beside our words. No request field is called so."""
_TOOLS = "$tools"
"""In `extra`: the layout of the tools, when it does not follow from them."""
_MAX_TOKENS = 4096
"""What a call in another dialect is given: Anthropic answers none without a limit."""


def request(body: Mapping[str, Any]) -> ModelCall:
    """What is asked; `render_request` gives back every field of `body`."""
    model = values.text(body.get("model")) or ""
    system, chat = turns.system(body.get("system")), turns.turns(body.get("messages"))
    offered, layout = tools.read(body.get("tools"))
    sampling = _sampling(body)
    # What was understood keeps its own leftovers, and is not compared again.
    understood = {"system": system, "messages": chat, "tools": offered}
    skip = {_ANSWER, _TOOLS, *(name for name, found in understood.items() if found)}
    rest = {name: value for name, value in body.items() if name not in skip}
    extra = leftover(rest, _say_sampling(sampling) | {"model": model})
    if layout is not None:
        extra[_TOOLS] = layout
    return ModelCall(model=model, messages=system + chat, tools=offered, sampling=sampling, extra=extra, dialect=NAME)


def render_request(call: ModelCall) -> dict[str, Any]:
    """The body that asks for `call`.

    Of a call in another dialect: all system messages are one `system`, tool results and messages of one role that
    follow each other are one message, and a limit of tokens is given. A tool call whose arguments are no JSON object
    has the input `{"$invalid": text}`.
    """
    if call.dialect != NAME:
        return _render_foreign(call)
    extra = _asked(call)
    layout = extra.pop(_TOOLS, None)
    system, chat = turns.render(call.messages)
    said = {"model": call.model, **_say_sampling(call.sampling)}
    if system is not None:
        said["system"] = system
    if chat or "messages" not in extra:
        said["messages"] = chat
    if call.tools:
        said["tools"] = tools.render(call.tools, layout)
    return merged(said, extra)


def response(
    call: ModelCall,
    body: Mapping[str, Any],
    *,
    logprobs_mode: str | None = None,  # noqa: ARG001 - of nothing, here
) -> ModelCall:
    """`call` with its answer; `render_response` gives back every field that the asker is to see.

    Anthropic has no log-probabilities, so neither has the call. Of what its asker has no place for, a call in another
    dialect keeps nothing.
    """
    asked = _asked(call)
    choices = _choices(body)
    prompt = values.token_ids(body.get("prompt_token_ids"))
    answered = replace(
        call,
        choices=choices,
        prompt_token_ids=prompt,
        usage=_usage(body.get("usage")),
        response_id=values.text(body.get("id")),
        provenance="engine" if prompt and choices and all(one.token_ids for one in choices) else "absent",
        logprobs_mode=None,
        extra=asked,
    )
    if call.dialect != NAME:
        return replace(answered, choices=in_words(answered, NAME).choices)
    left = leftover(strip_capture(body, asked), _say_response(answered, asked))
    return replace(answered, extra={**asked, _ANSWER: left}) if left else answered


def render_response(call: ModelCall) -> dict[str, Any]:
    """The answer of `call` as its asker saw it: with token ids only if they were asked for."""
    if call.dialect != NAME:
        return _say_response(call, {})
    return merged(_say_response(call, _asked(call)), call.extra.get(_ANSWER, {}))


def render_stream(call: ModelCall) -> list[bytes]:
    """The answer as the events of a stream."""
    return stream.render(render_response(call))


def assembly(asked: Mapping[str, Any]) -> Assembly:
    """Puts the streamed answer to `asked` together."""
    return stream.Assembly(asked)


def add_capture(
    body: Mapping[str, Any],
    *,
    token_ids: bool,
    logprobs: bool,  # noqa: ARG001 - there is no way to ask
) -> dict[str, Any]:
    """`body`, asking also for token ids; usage comes unasked, and log-probabilities cannot be asked for.

    Only engines know the field: Anthropic itself refuses it, so ask there without `token_ids`.
    """
    return {**body, "return_token_ids": True} if token_ids else dict(body)


def strip_capture(response: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """`response` without the token ids that the request `asked` did not want."""
    if asked.get("return_token_ids"):
        return dict(response)
    return {name: value for name, value in response.items() if name not in stream.TOKENS}


def refusal(status: int, code: str, message: str) -> dict[str, Any]:
    """An error in Anthropic's shape, with our code beside its type."""
    kind = _KINDS.get(status, "invalid_request_error" if status < _SERVER else "api_error")
    error: dict[str, Any] = {"type": kind, "message": message, "code": code}
    if code == THREAD_UNSUPPORTED:  # its runner of tools reads this, and sends the whole chat instead
        error["details"] = {"error_code": code, "unsupported": ["thread"]}
    return {"type": "error", "error": error}


def broken(code: str, message: str) -> bytes:
    """An error in the middle of a stream; Anthropic's clients raise on it."""
    return said(refusal(_SERVER, code, message), event="error")


_SERVER = 500
_KINDS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_FINISHES = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_INPUT_TOKENS = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


def _asked(call: ModelCall) -> dict[str, Any]:
    return {name: value for name, value in call.extra.items() if name != _ANSWER}


def _render_foreign(call: ModelCall) -> dict[str, Any]:
    system, chat = turns.foreign(call.messages)
    said = {"model": call.model, "max_tokens": _MAX_TOKENS, **_say_sampling(call.sampling), "messages": chat}
    if system is not None:
        said["system"] = system
    if call.tools:
        said["tools"] = [tools.foreign(tool) for tool in call.tools]
    return said | in_anthropic(call)


def _sampling(body: Mapping[str, Any]) -> Sampling:
    named = {name: body.get(name) for name in ("temperature", "top_p", "top_k", "max_tokens")}
    stop = body.get("stop_sequences")
    return values.sampling({**named, "stop": stop if isinstance(stop, list) else None})


def _say_sampling(drawn: Sampling) -> dict[str, Any]:
    said = values.render_sampling(replace(drawn, seed=None, stop=()))
    return {**said, "stop_sequences": list(drawn.stop)} if drawn.stop else said


def _choices(body: Mapping[str, Any]) -> tuple[Choice, ...]:
    content = body.get("content")
    if not are_blocks(content):
        return ()
    reason = values.text(body.get("stop_reason"))
    return (
        Choice(
            message=turns.answer(content),
            finish_reason=None if reason is None else _FINISHES.get(reason, reason),
            token_ids=values.token_ids(body.get("token_ids")),
        ),
    )


def _usage(raw: Any) -> Usage:
    if not isinstance(raw, dict):
        return Usage()
    prompt = sum(values.whole(raw.get(name)) or 0 for name in _INPUT_TOKENS)
    return Usage(prompt_tokens=values.whole(prompt) or 0, completion_tokens=values.whole(raw.get("output_tokens")) or 0)


def _say_response(call: ModelCall, asked: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {} if call.response_id is None else {"id": call.response_id}
    if not call.choices:
        return said
    first = call.choices[0]  # Anthropic gives one answer
    reason = first.finish_reason
    said |= {
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": (turns.answer_blocks if call.dialect == NAME else turns.foreign_blocks)(first.message),
        "stop_reason": None if reason is None else _STOPS.get(reason, reason),
        "stop_sequence": None,
        "usage": {"input_tokens": call.usage.prompt_tokens, "output_tokens": call.usage.completion_tokens},
    }
    if asked.get("return_token_ids"):
        ids = {"prompt_token_ids": call.prompt_token_ids, "token_ids": first.token_ids}
        said |= {name: list(value) for name, value in ids.items() if value}
    return said
