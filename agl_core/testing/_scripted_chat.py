"""A scripted model's answers as OpenAI chat completions, with what vLLM adds to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from agl_core.testing._scripted_faults import Failing
from agl_core.testing._scripted_http import event
from agl_core.testing._scripted_tokens import Piece, Sampled, chat_prompt, sampled, token_text
from agl_core.testing._scripted_values import Answer, Refusal, Said, count_in, object_in

__all__ = ["body", "events", "failure", "prompts", "refused"]

CREATED = 1_700_000_000


def prompts(asked: Mapping[str, Any]) -> list[list[int]]:
    """The chat as tokens; `ValueError` says what is wrong with it."""
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError("`messages` is a list, and not empty")
    return [chat_prompt(messages)]


def body(said: Said) -> dict[str, Any]:
    """The answer in one piece."""
    asked, found = said.asked.body, samples(said)
    completion = {
        **_base(said, kind="chat.completion"),
        "choices": [_choice(index, sample, asked) for index, sample in enumerate(found)],
        "usage": usage(said, found),
    }
    if asked.get("return_token_ids"):
        completion["prompt_token_ids"] = list(said.prompts[0])
    return completion


def events(said: Said) -> Iterator[bytes]:
    """The answer as a stream."""
    asked, found = said.asked.body, samples(said)
    with_usage = bool(object_in(asked, "stream_options").get("include_usage"))
    base: dict[str, Any] = {**_base(said, kind="chat.completion.chunk"), **({"usage": None} if with_usage else {})}
    for index, sample in enumerate(found):
        delta = {"role": "assistant", "content": _content(sample.answer) and ""}
        first = {**base, "choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}]}
        if index == 0 and asked.get("return_token_ids"):
            first["prompt_token_ids"] = list(said.prompts[0])
        yield event(first)
    for index, piece in in_turns(found):
        yield event({**base, "choices": [_chunk(index, piece, found[index], asked)]})
    if with_usage:
        yield event({**base, "choices": [], "usage": usage(said, found)})
    yield event("[DONE]")


def failure(_said: Said, fault: Failing) -> Iterator[bytes]:
    """The error that a stream ends with, as vLLM tells it."""
    yield event({"error": {"message": fault.message, "type": "server_error", "param": None, "code": fault.code}})
    yield event("[DONE]")


def refused(refusal: Refusal) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    kind = "invalid_request_error" if refusal.status < 500 else "server_error"
    return {"error": {"message": refusal.message, "type": kind, "param": None, "code": refusal.code}}


def samples(said: Said) -> list[Sampled]:
    """The choices, with their tokens."""
    asked = said.asked.body
    limit = count_in(asked, "max_completion_tokens", "max_tokens")
    answers = said.choices(count_in(asked, "n") or 1)
    return [sampled(answer, index=index, limit=limit) for index, answer in enumerate(answers)]


def in_turns(found: Sequence[Sampled]) -> Iterator[tuple[int, Piece]]:
    """The pieces of all choices, as they come: one of each, and again; each waits for its gate."""
    for row in zip_longest(*(sample.pieces for sample in found)):
        for index, piece in enumerate(row):
            if piece is not None:
                found[index].pass_gate(piece)
                yield index, piece


def usage(said: Said, found: Sequence[Sampled]) -> dict[str, Any]:
    """What was used, the first answer's own numbers before what was counted."""
    told, cached = found[0].answer.usage, found[0].answer.cached_tokens
    read = told.prompt_tokens if told else sum(map(len, said.prompts))
    written = told.completion_tokens if told else sum(len(sample.token_ids) for sample in found)
    thought = sum(sample.reasoning_tokens for sample in found)
    used: dict[str, Any] = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
    if cached:
        used["prompt_tokens_details"] = {"cached_tokens": cached}
    if thought:
        used["completion_tokens_details"] = {"reasoning_tokens": thought}
    return used


def top(id_: int, number: float, count: int | None) -> list[tuple[int, float]]:
    """A token and those that were less likely in its place, as many as were asked for."""
    return [((id_ + step) % 256 if step else id_, number - step) for step in range(count or 0)]


def likely(ids: Sequence[int], numbers: Sequence[float], count: int | None) -> list[dict[str, Any]]:
    """How likely each token was, and as many others in its place as were asked for."""
    return [
        {**_one(id_, number), "top_logprobs": [_one(*other) for other in top(id_, number, count)]}
        for id_, number in zip(ids, numbers, strict=True)
    ]


def _base(said: Said, *, kind: str) -> dict[str, Any]:
    base = {"id": f"chatcmpl-{said.number}", "object": kind, "created": CREATED, "model": said.model}
    return base if said.version is None else {**base, "policy_version": said.version}


def _choice(index: int, sample: Sampled, asked: Mapping[str, Any]) -> dict[str, Any]:
    answer = sample.answer
    message: dict[str, Any] = {"role": "assistant", "content": _content(answer)}
    if answer.refusal:
        message["refusal"] = answer.refusal
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [
            {
                "id": _call_id(answer, number, index),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for number, call in enumerate(answer.tool_calls)
        ]
    choice: dict[str, Any] = {"index": index, "message": message, "finish_reason": sample.finish_reason}
    return {**choice, **_tokens(sample.token_ids, sample.logprobs, asked)}


def _chunk(index: int, piece: Piece, sample: Sampled, asked: Mapping[str, Any]) -> dict[str, Any]:
    delta: dict[str, Any] = {}
    match piece.kind:
        case "text":
            delta = {"content": piece.text}
        case "reasoning":
            delta = {"reasoning_content": piece.text}
        case "refusal":
            delta = {"refusal": piece.text}
        case "call":
            function = {"name": sample.answer.tool_calls[piece.call].name, "arguments": ""}
            opened = {"id": _call_id(sample.answer, piece.call, index), "type": "function", "function": function}
            delta = {"tool_calls": [{"index": piece.call, **opened}]}
        case "arguments":
            delta = {"tool_calls": [{"index": piece.call, "function": {"arguments": piece.text}}]}
    finish = sample.finish_reason if piece.kind == "end" else None
    chunk: dict[str, Any] = {"index": index, "delta": delta, "finish_reason": finish}
    return {**chunk, **_tokens(piece.token_ids, piece.logprobs, asked)}


def _content(answer: Answer) -> str | None:
    return answer.text or (None if answer.tool_calls or answer.refusal else "")


def _call_id(answer: Answer, number: int, index: int) -> str:
    """The call's own; those of further choices are others."""
    return answer.tool_calls[number].id + (f"-{index}" if index else "")


def _tokens(ids: Sequence[int], numbers: Sequence[float], asked: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"logprobs": None}
    if asked.get("logprobs"):
        told["logprobs"] = {"content": likely(ids, numbers, count_in(asked, "top_logprobs"))}
    if asked.get("return_token_ids"):
        told["token_ids"] = list(ids)
    return told


def _one(id_: int, number: float) -> dict[str, Any]:
    text = token_text(id_)
    return {"token": text, "logprob": number, "bytes": list(text.encode())}
