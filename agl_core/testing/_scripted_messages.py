"""A scripted model's answers as Anthropic messages."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from agl_core.testing._scripted_faults import Failing
from agl_core.testing._scripted_http import event
from agl_core.testing._scripted_tokens import Sampled, chat_prompt, sampled
from agl_core.testing._scripted_values import Refusal, Said, count_in, text_of

__all__ = ["body", "chat", "events", "failure", "listed", "prompts", "refused"]

_STOPPED: Mapping[str, str] = MappingProxyType(
    {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
)
_ERRORS: Mapping[int, str] = MappingProxyType(
    {
        400: "invalid_request_error",
        401: "authentication_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        500: "api_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
)


def prompts(asked: Mapping[str, Any]) -> list[list[int]]:
    """The chat as tokens; `ValueError` says what is wrong with it."""
    if count_in(asked, "max_tokens") is None:
        raise ValueError("max_tokens: Field required, a number above zero")
    return [chat(asked)]


def chat(asked: Mapping[str, Any]) -> list[int]:
    """The system prompt and the messages as tokens; `ValueError` says what is wrong with them."""
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ValueError("messages: Field required, and not empty")
    system = [{"role": "system", "content": text_of(asked["system"])}] if asked.get("system") else []
    return chat_prompt([*system, *map(_turn, messages)])


def body(said: Said) -> dict[str, Any]:
    """The answer in one piece."""
    return _message(said, _sample(said))


def events(said: Said) -> Iterator[bytes]:
    """The answer as a stream."""
    for data in _events(said):
        yield event(data, name=data["type"])


def failure(_said: Said, fault: Failing) -> Iterator[bytes]:
    """The error that a stream ends with."""
    yield event({"type": "error", "error": {"type": fault.code, "message": fault.message}}, name="error")


def refused(refusal: Refusal) -> dict[str, Any]:
    """An error in Anthropic's shape: it has no codes, and a code that is one of its types is said as that."""
    usual = _ERRORS.get(refusal.status, "invalid_request_error" if refusal.status < 500 else "api_error")
    kind = refusal.code if refusal.code in _ERRORS.values() else usual
    said = "prompt is too long: " if refusal.code == "context_length_exceeded" else ""
    return {"type": "error", "error": {"type": kind, "message": said + refusal.message}, "request_id": "req_scripted"}


def listed(model: str) -> dict[str, Any]:
    """The models there are, in Anthropic's shape."""
    shown = {"type": "model", "id": model, "display_name": model, "created_at": "2023-11-14T22:13:20Z"}
    return {"data": [shown], "has_more": False, "first_id": model, "last_id": model}


def _turn(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message in the words of a chat, so that a model's own gives the tokens it sampled."""
    content = message.get("content")
    if message.get("role") != "assistant" or not isinstance(content, list):
        return {"role": message.get("role"), "content": text_of(content)}
    blocks = [block for block in content if isinstance(block, dict)]
    return {
        "role": "assistant",
        "reasoning_content": "".join(block["thinking"] for block in blocks if block.get("type") == "thinking"),
        "content": "".join(block["text"] for block in blocks if block.get("type") == "text"),
        "tool_calls": [
            {"function": {"name": block.get("name"), "arguments": json.dumps(block.get("input"))}}
            for block in blocks
            if block.get("type") == "tool_use"
        ],
    }


def _sample(said: Said) -> Sampled:
    return sampled(said.answers[0], limit=count_in(said.asked.body, "max_tokens"))


def _message(said: Said, sample: Sampled) -> dict[str, Any]:
    answer = sample.answer
    stopped = "refusal" if answer.refusal and answer.finish_reason is None else sample.finish_reason
    message = {
        "id": f"msg_{said.number}",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": _content(sample),
        "stop_reason": _STOPPED.get(stopped, stopped),
        "stop_sequence": None,
        "usage": _usage(said, sample),
    }
    return message if said.version is None else {**message, "policy_version": said.version}


def _content(sample: Sampled) -> list[dict[str, Any]]:
    answer = sample.answer
    blocks: list[dict[str, Any]] = []
    if answer.reasoning:
        signature = b64encode(answer.reasoning.encode()[::-1]).decode()
        blocks.append({"type": "thinking", "thinking": answer.reasoning, "signature": signature})
    if answer.text or answer.refusal:
        blocks.append({"type": "text", "text": answer.text + answer.refusal})
    blocks.extend(
        {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call.arguments)}
        for call in answer.tool_calls
    )
    return blocks


def _input(arguments: str) -> dict[str, Any]:
    """An object: there is no other way to say it in this dialect."""
    try:
        found = json.loads(arguments)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _usage(said: Said, sample: Sampled) -> dict[str, Any]:
    """What was read from a cache is not in the tokens of the input."""
    told, cached = sample.answer.usage, sample.answer.cached_tokens
    return {
        "input_tokens": (told.prompt_tokens if told else len(said.prompts[0])) - cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": cached,
        "output_tokens": told.completion_tokens if told else len(sample.token_ids),
    }


def _events(said: Said) -> Iterator[dict[str, Any]]:
    sample = _sample(said)
    whole = _message(said, sample)
    usage = {**whole["usage"], "output_tokens": 1}  # as the API counts before anything was said
    opened = {**whole, "content": [], "stop_reason": None, "usage": usage}
    yield {"type": "message_start", "message": opened}
    calls = 0
    for index, block in enumerate(whole["content"]):
        deltas = _block(block, sample, call=calls)
        calls += block["type"] == "tool_use"
        yield {"type": "content_block_start", "index": index, "content_block": next(deltas)}
        if index == 0:
            yield {"type": "ping"}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    stopped = {name: whole[name] for name in ("stop_reason", "stop_sequence")}
    yield {"type": "message_delta", "delta": stopped, "usage": whole["usage"]}
    yield {"type": "message_stop"}


def _block(block: Mapping[str, Any], sample: Sampled, *, call: int) -> Iterator[dict[str, Any]]:
    """How the block begins, then its deltas."""
    match block["type"]:
        case "thinking":
            yield {**block, "thinking": "", "signature": ""}
            for piece in sample.pieces_of("reasoning"):
                yield {"type": "thinking_delta", "thinking": piece.text}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "text":
            yield {**block, "text": ""}
            for kind in ("text", "refusal"):
                for piece in sample.pieces_of(kind):
                    yield {"type": "text_delta", "text": piece.text}
        case _:
            for _opening in sample.pieces_of("call", call=call):
                yield {**block, "input": {}}
            yield {"type": "input_json_delta", "partial_json": ""}
            for piece in sample.pieces_of("arguments", call=call):
                yield {"type": "input_json_delta", "partial_json": piece.text}
