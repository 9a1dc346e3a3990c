"""Writes chat completions, and the same as a stream of server-sent events."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import msgspec

from agl_transformers._dialects import Call, Dialect
from agl_transformers._generation import Generation
from agl_transformers._rendering import Prompt
from agl_transformers._requests import ChatRequest
from agl_transformers._template import Template

__all__ = ["Reply", "Writer", "events"]

Reply = dict[str, Any]


class Writer:
    """From sampled ids to what OpenAI's clients read."""

    def __init__(self, template: Template, dialect: Dialect, *, model: str) -> None:
        self._template = template
        self._dialect = dialect
        self._model = model
        self._tokens: dict[int, tuple[str, list[int]]] = {}

    def reply(self, request: ChatRequest, prompt: Prompt, generations: Sequence[Generation]) -> Reply:
        """The completion. `token_ids` and `logprobs.content` have one entry for each sampled id, in the same order."""
        sampled = sum(len(generation.tokens) for generation in generations)
        reply: Reply = {
            "id": f"chatcmpl-{uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": self._model,
            "choices": [self._choice(request, index, each) for index, each in enumerate(generations)],
            "usage": {
                "prompt_tokens": len(prompt.ids),
                "completion_tokens": sampled,
                "total_tokens": len(prompt.ids) + sampled,
            },
            "policy_version": generations[0].version,
        }
        if request.return_token_ids:
            reply["prompt_token_ids"] = prompt.ids
        return reply

    def _choice(self, request: ChatRequest, index: int, generation: Generation) -> dict[str, Any]:
        text = _until(self._template.text_of(generation.tokens), request.stops)
        said, calls = self._dialect.read(text) if request.offered else (text, [])
        if request.parallel_tool_calls is False:
            calls = calls[:1]
        message: dict[str, Any] = {"role": "assistant", "content": said if said.strip() or not calls else None}
        if calls:
            message["tool_calls"] = [_tool_call(call) for call in calls]
        choice: dict[str, Any] = {
            "index": index,
            "message": message,
            "logprobs": {"content": self._logprobs(generation)} if request.logprobs else None,
            "finish_reason": "tool_calls" if calls and generation.finish == "stop" else generation.finish,
        }
        if request.return_token_ids:
            choice["token_ids"] = generation.tokens
        return choice

    def _logprobs(self, generation: Generation) -> list[dict[str, Any]]:
        entries = []
        for sampled, logprob in zip(generation.tokens, generation.logprobs, strict=True):
            token, spelled = self._tokens.get(sampled) or self._spell(sampled)
            entries.append({"token": token, "logprob": logprob, "bytes": spelled, "top_logprobs": []})
        return entries

    def _spell(self, id: int) -> tuple[str, list[int]]:
        self._tokens[id] = spelled = (self._template.token(id), list(self._template.bytes_of(id)))
        return spelled


def events(reply: Reply, *, with_usage: bool) -> Iterator[bytes]:
    """A finished completion as a stream: role, content, tool calls, finish, usage, and the end."""
    shared = {key: reply[key] for key in ("id", "created", "model", "policy_version")}
    chunk = {**shared, "object": "chat.completion.chunk"}
    first = {key: reply[key] for key in ("prompt_token_ids",) if key in reply}
    for choice in reply["choices"]:
        index, message = choice["index"], choice["message"]
        yield _event({**chunk, **first, "choices": [_delta(index, {"role": "assistant", "content": ""})]})
        first = {}
        body = {"content": message["content"]} if message["content"] else {}
        if calls := message.get("tool_calls"):
            body["tool_calls"] = [{"index": place, **call} for place, call in enumerate(calls)]
        rest = {key: choice[key] for key in ("logprobs", "token_ids") if choice.get(key) is not None}
        yield _event({**chunk, "choices": [{**_delta(index, body), **rest}]})
        yield _event({**chunk, "choices": [_delta(index, {}, finish=choice["finish_reason"])]})
    if with_usage:
        yield _event({**chunk, "choices": [], "usage": reply["usage"]})
    yield b"data: [DONE]\n\n"


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _delta(index: int, delta: dict[str, Any], *, finish: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish}


def _tool_call(call: Call) -> dict[str, Any]:
    arguments = bytes(call.arguments).decode()
    return {
        "id": f"call_{uuid4().hex[:24]}",
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _until(text: str, stops: Sequence[str]) -> str:
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]
