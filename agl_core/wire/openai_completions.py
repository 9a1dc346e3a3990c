"""OpenAI text completions, and what vLLM and SGLang add to them, to `ModelCall` and back.

A prompt of text is a user's message, one of token ids is the call's own ids; several of text are several messages.
What a payload says and a `ModelCall` has no word for stays in `extra`, as it came: rendering puts it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agl_core.events import Choice, Message, ModelCall, Usage
from agl_core.wire import _chat_values as values
from agl_core.wire._completions_stream import Pieces, strip_capture, wants_usage
from agl_core.wire._json import read
from agl_core.wire._leftover import leftover, merged
from agl_core.wire._prompts import prompts, render_prompts, text_of
from agl_core.wire.openai_chat import broken, refusal
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

NAME = "openai.completions"
ROUTE = "completions"

_ANSWER = "$response"
"""In `extra`: what the response said beside our words. No request field is called so."""
_PROMPTS = "$prompt_token_ids"
"""In `extra`: the ids of each choice's prompt, when the call has not one prompt but several."""


def request(body: Mapping[str, Any]) -> ModelCall:
    """What is asked; `render_request` gives back every field of `body`."""
    messages, ids = prompts(body.get("prompt"))
    rest = {name: value for name, value in body.items() if name not in (_ANSWER, _PROMPTS)}
    call = ModelCall(
        model=values.text(body.get("model")) or "",
        messages=messages,
        # Chat's newer name of `max_tokens` is no word of this dialect.
        sampling=values.sampling({**rest, "max_completion_tokens": None}),
        prompt_token_ids=ids,
        dialect=NAME,
    )
    return replace(call, extra=leftover(rest, _say_request(call)))


def render_request(call: ModelCall) -> dict[str, Any]:
    """The body that asks for `call`; a chat becomes a text that ends where the assistant begins."""
    return merged(_say_request(call), _asked(call))


def response(call: ModelCall, body: Mapping[str, Any], *, logprobs_mode: str | None = None) -> ModelCall:
    """`call` with its answer; `render_response` gives back every field that the asker is to see.

    `logprobs_mode` is what the endpoint says of its log-probabilities; a call without any has none.
    Token ids are the engine's when there is one prompt: a call has no word for the ids of several.
    """
    asked = _asked(call)
    extra = asked if call.dialect == NAME else dict(call.extra)
    raws = _objects(body.get("choices"))
    found = [values.token_ids(raw.get("prompt_token_ids")) for raw in raws]
    prompt = call.prompt_token_ids
    if call.dialect != NAME or len(call.messages) == 1 or prompt:
        prompt = next(filter(None, found), prompt)
    elif any(found):
        extra[_PROMPTS] = [list(ids) for ids in found]
    if call.dialect == NAME and not call.messages and call.prompt_token_ids != prompt:
        extra.setdefault("prompt", list(call.prompt_token_ids))  # the server put others in their place
    alone = body.get("meta_info") if len(raws) == 1 else None
    choices = tuple(
        _choice(raw, meta=raw.get("meta_info", alone), echoed=len(ids) if asked.get("echo") else 0)
        for raw, ids in zip(raws, found, strict=True)
    )
    answered = replace(
        call,
        choices=choices,
        prompt_token_ids=prompt,
        usage=_usage(body.get("usage")),
        response_id=values.text(body.get("id")),
        provenance="engine" if prompt and choices and all(one.token_ids for one in choices) else "absent",
        logprobs_mode=logprobs_mode if any(one.logprobs for one in choices) else None,
        extra=extra,
    )
    left = leftover(strip_capture(body, asked), _say_response(answered, asked))
    if left and call.dialect == NAME:
        extra[_ANSWER] = left  # in the call's own: nobody else has seen it yet
    return answered


def render_response(call: ModelCall) -> dict[str, Any]:
    """The answer of `call` as its asker saw it: with token ids and log-probabilities only if they were asked for."""
    left = call.extra.get(_ANSWER) if call.dialect == NAME else None
    return merged(_say_response(call, _asked(call)), left or {})


def render_stream(call: ModelCall) -> list[bytes]:
    """The answer of `call` as the events of a stream: a chunk a choice, usage if it was asked for, the end."""
    body = render_response(call)
    usage = body.pop("usage", None)
    choices = _objects(body.get("choices"))
    chunks = [{**body, "choices": [choice]} for choice in choices] or ([body] if body else [])
    if usage is not None and wants_usage(_asked(call)):
        chunks.append({**body, "choices": [], "usage": usage})
    return [*map(said, chunks), said("[DONE]")]


def assembly(asked: Mapping[str, Any]) -> Pieces:
    """For the streamed answer to the request `asked`, as the asker sent it."""
    return Pieces(asked)


def add_capture(body: Mapping[str, Any], *, token_ids: bool = True, logprobs: bool = True) -> dict[str, Any]:
    """`body`, asking also for the tokens that are sampled, how likely they were, and usage at a stream's end."""
    asking = dict(body)
    if token_ids:
        asking["return_token_ids"] = True
    if logprobs and body.get("logprobs") is None:
        asking["logprobs"] = 1
    options = body.get("stream_options")
    # Options that are none stay as they are: the server is to refuse them, as it would without us.
    if body.get("stream") and (options is None or isinstance(options, dict)):
        asking["stream_options"] = {**(options or {}), "include_usage": True}
    return asking


def _asked(call: ModelCall) -> dict[str, Any]:
    if call.dialect != NAME:
        return {}  # fields of another dialect, that mean something else here or nothing
    return {name: value for name, value in call.extra.items() if name not in (_ANSWER, _PROMPTS)}


def _say_request(call: ModelCall) -> dict[str, Any]:
    said_so = {"model": call.model, **values.render_sampling(call.sampling)}
    prompt = render_prompts(call)
    return said_so if prompt is None else {**said_so, "prompt": prompt}


def _say_response(call: ModelCall, asked: Mapping[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    if call.response_id is not None:
        answer["id"] = call.response_id
    if call.usage != Usage():
        prompt, completion = call.usage.prompt_tokens, call.usage.completion_tokens
        answer["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
    if not call.choices:
        return answer
    answer["object"] = "text_completion"
    answer["model"] = call.model
    answer["choices"] = [_say_choice(index, choice) for index, choice in enumerate(call.choices)]
    if asked.get("return_token_ids"):
        several = call.extra.get(_PROMPTS, ())
        for index, (choice, one) in enumerate(zip(call.choices, answer["choices"], strict=True)):
            ids = several[index] if index < len(several) else list(call.prompt_token_ids)
            one.update({"prompt_token_ids": ids} if ids else {})
            one.update({"token_ids": list(choice.token_ids)} if choice.token_ids else {})
    return answer


def _say_choice(index: int, choice: Choice) -> dict[str, Any]:
    return {"index": index, "text": text_of(choice.message), "logprobs": None, "finish_reason": choice.finish_reason}


def _objects(raw: Any) -> list[dict[str, Any]]:
    return raw if isinstance(raw, list) and all(isinstance(one, dict) for one in raw) else []


def _choice(raw: dict[str, Any], *, meta: Any, echoed: int) -> Choice:
    ids = values.token_ids(raw.get("token_ids"))
    logprobs = _logprobs(raw.get("logprobs"), len(ids), echoed)
    if not ids:
        ids, logprobs = _sampled(meta)
    return Choice(
        message=Message(role="assistant", content=values.text(raw.get("text"))),
        finish_reason=values.text(raw.get("finish_reason")),
        token_ids=ids,
        logprobs=logprobs,
    )


def _logprobs(raw: Any, length: int, echoed: int) -> tuple[float, ...]:
    entries = raw.get("token_logprobs") if isinstance(raw, dict) else None
    if not isinstance(entries, list):
        return ()
    if len(entries) == echoed + length:
        entries = entries[echoed:]  # an echo has its prompt's before its own
    return values.numbers(entries) if len(entries) == length else ()


def _sampled(meta: Any) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Ids and log-probabilities as SGLang tells them: `[[logprob, id, text], ...]`."""
    entries = meta.get("output_token_logprobs") if isinstance(meta, dict) else None
    # A stream may tell of each piece only its own tokens: what is there then is not all.
    if not isinstance(entries, list) or meta.get("completion_tokens", len(entries)) != len(entries):
        return (), ()
    try:
        ids = values.token_ids([entry[1] for entry in entries])
        logprobs = values.numbers([entry[0] for entry in entries])
    except (TypeError, LookupError):
        return (), ()
    return ids, logprobs if len(logprobs) == len(ids) else ()


def _usage(raw: Any) -> Usage:
    if not isinstance(raw, dict):
        return Usage()
    prompt, completion = values.whole(raw.get("prompt_tokens")), values.whole(raw.get("completion_tokens"))
    return Usage(prompt_tokens=prompt or 0, completion_tokens=completion or 0)
