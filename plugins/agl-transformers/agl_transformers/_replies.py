"""Writes chat completions."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from agl_transformers._dialects import Call, Dialect
from agl_transformers._generation import Generation
from agl_transformers._rendering import Prompt
from agl_transformers._requests import ChatRequest
from agl_transformers._template import Template

__all__ = ["Reply", "Writer"]

Reply = dict[str, Any]


class Writer:
    """From sampled ids to what OpenAI's clients read."""

    def __init__(self, template: Template, dialect: Dialect, *, model: str) -> None:
        self.template = template
        self.dialect = dialect
        self._model = model
        self._tokens: dict[int, tuple[str, list[int]]] = {}

    def reply(self, request: ChatRequest, prompt: Prompt, generations: Sequence[Generation]) -> Reply:
        """The completion. `token_ids` and `logprobs.content` have one entry for each sampled id, in the same order."""
        reply: Reply = {
            **self.head(generations),
            "object": "chat.completion",
            "choices": [self._choice(request, index, each) for index, each in enumerate(generations)],
            "usage": self.usage(prompt, generations),
        }
        if request.return_token_ids:
            reply["prompt_token_ids"] = prompt.ids
        return reply

    def head(self, generations: Sequence[Generation]) -> dict[str, Any]:
        """What every chunk of a completion says of it."""
        return {
            "id": f"chatcmpl-{uuid4().hex}",
            "created": int(time.time()),
            "model": self._model,
            "policy_version": generations[0].version,
        }

    def usage(self, prompt: Prompt, generations: Sequence[Generation]) -> dict[str, int]:
        """Tokens read and written."""
        sampled = sum(len(generation.tokens) for generation in generations)
        return {
            "prompt_tokens": len(prompt.ids),
            "completion_tokens": sampled,
            "total_tokens": len(prompt.ids) + sampled,
        }

    def message(self, request: ChatRequest, generation: Generation) -> tuple[dict[str, Any], str | None]:
        """A finished answer's words and calls, and why it ended."""
        text = _until(self.template.text_of(generation.tokens), request.stops)
        said, calls = self.dialect.read(text) if request.offered else (text, [])
        if request.parallel_tool_calls is False:
            calls = calls[:1]
        message: dict[str, Any] = {"role": "assistant", "content": said if said.strip() or not calls else None}
        if calls:
            message["tool_calls"] = [_tool_call(call) for call in calls]
        return message, "tool_calls" if calls and generation.finish == "stop" else generation.finish

    def sampled(self, request: ChatRequest, generation: Generation, start: int, end: int) -> dict[str, Any]:
        """The ids from `start` to `end` and how likely they were, as far as the request wants to know."""
        told: dict[str, Any] = {}
        if request.logprobs:
            told["logprobs"] = {"content": self._logprobs(generation, start, end)}
        if request.return_token_ids:
            told["token_ids"] = generation.tokens[start:end]
        return told

    def _choice(self, request: ChatRequest, index: int, generation: Generation) -> dict[str, Any]:
        message, reason = self.message(request, generation)
        sampled = self.sampled(request, generation, 0, len(generation.tokens))
        return {"index": index, "message": message, "logprobs": None, **sampled, "finish_reason": reason}

    def _logprobs(self, generation: Generation, start: int, end: int) -> list[dict[str, Any]]:
        entries = []
        for sampled, logprob in zip(generation.tokens[start:end], generation.logprobs[start:end], strict=True):
            token, spelled = self._tokens.get(sampled) or self._spell(sampled)
            entries.append({"token": token, "logprob": logprob, "bytes": spelled, "top_logprobs": []})
        return entries

    def _spell(self, id: int) -> tuple[str, list[int]]:
        self._tokens[id] = spelled = (self.template.token(id), list(self.template.bytes_of(id)))
        return spelled


def _tool_call(call: Call) -> dict[str, Any]:
    arguments = bytes(call.arguments).decode()
    return {
        "id": f"call_{uuid4().hex[:24]}",
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _until(text: str, stops: Sequence[str]) -> str:
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]
