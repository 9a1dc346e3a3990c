"""Tells a chat completion while it is written: chunks that, joined, are the answer it would have been in one piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from agl_transformers._generation import Generation
from agl_transformers._rendering import Prompt
from agl_transformers._replies import Writer
from agl_transformers._requests import ChatRequest
from agl_transformers._words import Held, Words

__all__ = ["Stream"]

Ended = Callable[[Mapping[str, Any], Generation], None]


class Stream:
    """Of one request: every sampled id is told once and in order, and no text that may still change."""

    def __init__(
        self, writer: Writer, request: ChatRequest, prompt: Prompt, generations: Sequence[Generation], *, ended: Ended
    ) -> None:
        self._writer = writer
        self._request = request
        self._prompt = prompt
        self._generations = generations
        self._ended = ended
        """Called with each message that is whole, before its last chunk is given away."""
        self._told = [_Told(writer, request, generation) for generation in generations]
        self._chunk: dict[str, Any] = {}

    def more(self) -> Iterator[bytes]:
        """Events for all that was written since the last time."""
        for index, told in enumerate(self._told):
            if told.is_whole or not told.generation.logprobs:
                continue
            if not told.has_begun:
                yield self._event(index, told.begin())
            choice, message = told.more()
            if message is not None:
                self._ended(message, told.generation)
            if choice:
                yield self._event(index, choice)

    def end(self) -> Iterator[bytes]:
        """Usage, if the request wants it, and the mark of the end."""
        if (self._request.stream_options or {}).get("include_usage"):
            usage = self._writer.usage(self._prompt, self._generations)
            yield _event({**self._chunk, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    def _event(self, index: int, choice: Mapping[str, Any]) -> bytes:
        first: dict[str, Any] = {}
        if not self._chunk:
            # Not before something is written: until then nobody knows by which weights.
            self._chunk = {**self._writer.head(self._generations), "object": "chat.completion.chunk"}
            first = {"prompt_token_ids": self._prompt.ids} if self._request.return_token_ids else {}
        return _event({**self._chunk, **first, "choices": [{"index": index, **choice}]})


class _Told:
    """One choice, as far as it has been told."""

    def __init__(self, writer: Writer, request: ChatRequest, generation: Generation) -> None:
        self.generation = generation
        self.has_begun = False
        self.is_whole = False
        self._writer = writer
        self._request = request
        self._words = Words(writer.template)
        self._held = Held((*request.stops, writer.dialect.opening) if request.offered else request.stops)
        self._blank = ""
        """White space that is content only if words follow, and not a tool call."""
        self._ids = 0
        self._characters = 0

    def begin(self) -> dict[str, Any]:
        """Who speaks. Where tools are offered it is not known yet whether there is content at all."""
        self.has_begun = True
        content = None if self._request.offered else ""
        return {"delta": {"role": "assistant", "content": content}, "finish_reason": None}

    def more(self) -> tuple[dict[str, Any], Mapping[str, Any] | None]:
        """What is new, empty when nothing is; at the end also the whole message."""
        finish = self.generation.finish  # before the tokens: once it is there, so are they
        start, self._ids = self._ids, len(self.generation.logprobs)
        told = self._writer.sampled(self._request, self.generation, start, self._ids) if start < self._ids else {}
        if finish:
            self.is_whole = True
            message, reason = self._writer.message(self._request, self.generation)
            return {"delta": self._rest(message), **told, "finish_reason": reason}, message
        text = self._text()
        if not text and not told:
            return {}, None
        return {"delta": {"content": text} if text else {}, **told, "finish_reason": None}, None

    def _text(self) -> str:
        text = self._blank + self._held.passed(self._words.more(self.generation.tokens, self._ids))
        self._blank = ""
        if self._request.offered and not self._characters and not text.strip():
            self._blank, text = text, ""
        self._characters += len(text)
        return text

    def _rest(self, message: Mapping[str, Any]) -> dict[str, Any]:
        content = message["content"]
        delta: dict[str, Any] = {}
        if content is not None and (len(content) > self._characters or (self._request.offered and not content)):
            delta["content"] = content[self._characters :]
        if calls := message.get("tool_calls"):
            delta["tool_calls"] = [{"index": place, **call} for place, call in enumerate(calls)]
        return delta


def _event(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"
