"""OpenAI Responses, and what engines add to them, to `ModelCall` and back.

The instructions are the first system message, the items of the input and of the output are messages, and the calls of
functions are tool calls. What our words would not give back stays in `extra`, as it came: rendering puts it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agl_core.events import Choice, Message, ModelCall, Tool, Usage
from agl_core.wire import _chat_values as chat
from agl_core.wire import _responses_capture as capture
from agl_core.wire import _responses_events as events
from agl_core.wire import _responses_items as items
from agl_core.wire import _responses_stream as stream
from agl_core.wire import _responses_values as values
from agl_core.wire import openai_chat
from agl_core.wire._demands import in_responses
from agl_core.wire._json import read
from agl_core.wire._leftover import leftover, merged
from agl_core.wire._words import in_words
from agl_core.wire.dialect import Assembly
from agl_core.wire.sse import said as event

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

NAME = "openai.responses"
ROUTE = "responses"
_ANSWER = "$responses.answer"
"""In `extra`: what the response said beside our words."""
_TEXT = "$responses.text"
"""In `extra`: the input was a text, not a list."""
_LISTED = "$responses.listed"
"""In `extra`: the system message at the beginning stood in the input, not in the instructions."""
_OURS = frozenset({_ANSWER, _TEXT, _LISTED})


def request(body: Mapping[str, Any]) -> ModelCall:
    """What is asked; `render_request` gives back every field of `body`."""
    raw, instructions = body.get("input"), chat.text(body.get("instructions"))
    heard = (Message(role="user", content=raw),) if isinstance(raw, str) else items.messages(raw)
    told = () if instructions is None else (Message(role="system", content=instructions),)
    tools, left = values.tools(body.get("tools"))
    model, sampling = chat.text(body.get("model")) or "", values.sampling(body)
    known = {"tools", *(("input",) if heard else ()), *(("instructions",) if told else ()), *_OURS}
    rest = {name: value for name, value in body.items() if name not in known}
    extra = leftover(rest, {**({"model": model} if model else {}), **values.render_sampling(sampling)})
    if "tools" in body and (left is not None or not tools):
        extra["tools"] = left
    if isinstance(raw, str):
        extra[_TEXT] = True
    if not told and _instructs(heard):
        extra[_LISTED] = True
    return ModelCall(model=model, messages=told + heard, tools=tools, sampling=sampling, extra=extra, dialect=NAME)


def render_request(call: ModelCall) -> dict[str, Any]:
    """The body that asks for `call`."""
    own, is_foreign = in_words(call, NAME), call.dialect != NAME
    extra = _asked(own)
    said: dict[str, Any] = {"model": own.model} if own.model else {}
    messages = own.messages
    if _LISTED not in own.extra and _instructs(messages):
        said["instructions"] = messages[0].content
        messages = messages[1:]
    if messages:
        said["input"] = _input(messages, is_text=_TEXT in own.extra)
    said.update(values.render_sampling(own.sampling))
    if own.tools or "tools" in extra:
        left = extra.pop("tools", None)
        said["tools"] = _foreign(own.tools) if is_foreign else values.render_tools(own.tools, left)
    return merged(said | (in_responses(call) if is_foreign else {}), extra)


def response(call: ModelCall, body: Mapping[str, Any], *, logprobs_mode: str | None = None) -> ModelCall:
    """`call` with its answer; `render_response` gives back every field that the asker is to see.

    `logprobs_mode` is what the endpoint says of its log-probabilities; a call without any has none.
    """
    asked = _asked(call)
    shown = strip_capture(body, asked)
    choices = _choices(body, shown)
    prompt = chat.token_ids(body.get("prompt_token_ids"))
    answered = replace(
        call,
        choices=choices,
        prompt_token_ids=prompt,
        usage=values.usage(body.get("usage")),
        response_id=chat.text(body.get("id")),
        provenance="engine" if prompt and choices and all(one.token_ids for one in choices) else "absent",
        logprobs_mode=logprobs_mode if any(one.logprobs for one in choices) else None,
    )
    left = leftover(shown, _say_response(answered))
    return replace(answered, extra={**call.extra, _ANSWER: left})


def render_response(call: ModelCall) -> dict[str, Any]:
    """The answer of `call` as its asker saw it: with token ids and log-probabilities only if they were asked for."""
    own = in_words(call, NAME)
    if _ANSWER in own.extra:
        return merged(_say_response(own), own.extra[_ANSWER])
    whole = values.skeleton(own, render_request(call))
    for choice in own.choices[:1]:
        whole["output"] = items.as_answer(choice.message, of=whole["id"])
    return whole


def render_stream(call: ModelCall) -> list[bytes]:
    """The answer as the events of a stream."""
    return events.render(render_response(call))


def assembly(asked: Mapping[str, Any]) -> Assembly:
    """Puts the streamed answer to `asked` together."""
    return stream.Assembly(asked)


def add_capture(body: Mapping[str, Any], *, token_ids: bool = True, logprobs: bool = True) -> dict[str, Any]:
    """`body`, asking also for the tokens that are sampled and how likely they were; usage comes unasked."""
    asking = dict(body)
    if token_ids:
        asking[capture.IDS] = True
    if logprobs and not capture.wants_logprobs(body):
        included = body.get("include")
        asking["include"] = [*(included if isinstance(included, list) else ()), capture.LOGPROBS]
    return asking


def strip_capture(response: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """`response` without the token ids and log-probabilities that the request `asked` did not want."""
    return capture.Hidden(asked).of_response(response)


def refusal(status: int, code: str, message: str) -> dict[str, Any]:
    """An error in OpenAI's shape, which all its routes share."""
    return openai_chat.refusal(status, code, message)


def broken(code: str, message: str) -> bytes:
    """An error in the middle of a stream.

    It says itself twice: OpenAI's clients raise on `error`, others read the fields beside it, as documented.
    """
    flat = {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 0}
    return event({**flat, **refusal(500, code, message)}, event="error")


def _asked(call: ModelCall) -> dict[str, Any]:
    return {name: value for name, value in call.extra.items() if name not in _OURS}


def _instructs(messages: tuple[Message, ...]) -> bool:
    """Whether the first message would be rendered as the instructions."""
    return (
        bool(messages)
        and messages[0] == Message(role="system", content=messages[0].content)
        and (isinstance(messages[0].content, str))
    )


def _input(messages: tuple[Message, ...], *, is_text: bool) -> Any:
    if is_text and len(messages) == 1 and isinstance(messages[0].content, str):
        return messages[0].content
    return [item for message in messages for item in items.as_items(message)]


def _foreign(tools: tuple[Tool, ...]) -> list[dict[str, Any]]:
    # Here a function is strict unless it says it is not; in the other dialects it is the other way round.
    return [{"parameters": {}, **values.render_tool(one), "strict": False} for one in tools]


def _choices(body: Mapping[str, Any], shown: Mapping[str, Any]) -> tuple[Choice, ...]:
    output = body.get("output")
    if not isinstance(output, list) or not all(isinstance(one, dict) for one in output):
        return ()
    message = items.turn(shown["output"])
    ids = values.token_ids(output)
    return (
        Choice(
            message=message,
            finish_reason=values.ended(body, has_calls=bool(message.tool_calls)),
            token_ids=ids,
            logprobs=values.logprobs(output, length=len(ids)),
        ),
    )


def _say_response(call: ModelCall) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if call.response_id is not None:
        said["id"] = call.response_id
    if call.usage != Usage():
        said["usage"] = values.render_usage(call.usage)
    asked = _asked(call)
    if capture.wants_ids(asked) and call.prompt_token_ids:
        said[capture.PROMPT_IDS] = list(call.prompt_token_ids)
    for choice in call.choices[:1]:
        said.update(object="response", model=call.model, **values.render_ending(choice.finish_reason))
        said["output"] = items.as_output(choice.message)
    return said
