"""The engine: a model, the thread that decodes, the thread that listens, and their lifetimes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from agl_core.engine import Checkpoint, Endpoint
from agl_core.errors import BadValue, EngineFailed, ModelNotFound, PromptTooLong
from agl_transformers._batching import Batcher
from agl_transformers._decoding import Decoder
from agl_transformers._dialects import dialect_of
from agl_transformers._generation import Generation
from agl_transformers._opening import Options
from agl_transformers._proof import prove
from agl_transformers._rendering import Prompt, Renderer
from agl_transformers._replies import Writer
from agl_transformers._requests import ChatRequest, read
from agl_transformers._server import serving
from agl_transformers._streams import Stream
from agl_transformers._template import Template
from agl_transformers._weights import Weights

__all__ = ["TransformersEngine"]


class TransformersEngine:
    """An `Engine` whose model lives in this process. Started once; stopped, it is used up."""

    def __init__(self, options: Options, *, url: str, name: str) -> None:
        self._options = options
        self._url = url
        self._name = name
        self._serving: _Serving | None = None
        self._is_stopped = False
        self._loading = asyncio.Lock()

    async def start(self) -> Endpoint:
        """Load the model and listen."""
        if self._serving or self._is_stopped:
            raise EngineFailed(self._url, why="it was started before: open another")
        self._serving = await asyncio.to_thread(_Serving, self._options, url=self._url, name=self._name)
        return self._serving.endpoint

    async def load(self, checkpoint: Checkpoint, *, version: int) -> None:
        """Serve these weights as `version`, from the end of the batch under way."""
        if self._serving is None:
            raise EngineFailed(self._url, why="it is not running")
        # One at a time: an adapter is read against the base that is in place.
        async with self._loading:
            await self._serving.load(checkpoint, version)

    async def stop(self) -> None:
        """Fail what waits, stop listening, free the model."""
        serving, self._serving, self._is_stopped = self._serving, None, True
        if serving:
            await asyncio.to_thread(serving.stop)


class _Serving:
    """Everything that exists only between start and stop."""

    def __init__(self, options: Options, *, url: str, name: str) -> None:
        self._url = url
        self._name = name
        model, tokenizer = _loaded(options, url)
        ends = _ends(model, tokenizer)
        dialect = dialect_of(tokenizer.chat_template or "")
        self._template = Template(tokenizer, dialect, ends=ends, url=url)
        self._max_len = _max_len(model, options)
        self._renderer = Renderer(self._template)
        self._writer = Writer(self._template, dialect, model=name)
        self._weights = Weights(model, options.folder, url=url)
        self._listening: dict[Generation, asyncio.Event] = {}
        decoder = Decoder(model, ends=ends, text_of=self._template.text_of)
        prove(decoder, url=url)
        self._batcher = Batcher(
            decoder, max_batch=options.max_batch, threads=options.threads, url=url, deliver=self._deliver
        )
        key = secrets.token_urlsafe(32)
        self._server = serving(self._answer, model=name, max_len=self._max_len, key=key)
        self._batcher.start()
        base = self._server.start()
        self.endpoint = Endpoint(
            url=base, model=name, api_key=key, max_len=self._max_len, tools=dialect.name, folder=options.folder
        )

    async def load(self, checkpoint: Checkpoint, version: int) -> None:
        place = await asyncio.to_thread(self._weights.read, checkpoint)

        def change() -> int:
            place()
            return version

        await asyncio.wrap_future(self._batcher.between(change))

    def stop(self) -> None:
        self._batcher.stop()
        self._server.stop()

    async def _answer(self, body: bytes) -> bytes | AsyncGenerator[bytes]:
        request = read(body)
        if request.model != self._name:
            raise ModelNotFound(request.model, known=[self._name])
        prompt = self._renderer.prompt(request.messages, request.offered)
        room = self._max_len - len(prompt.ids)
        if room < 1:
            raise PromptTooLong(len(prompt.ids), limit=self._max_len - 1)
        limit = min(request.limit or room, room)
        generations = [
            Generation(
                prompt=prompt.ids,
                sampling=sampling,
                limit=limit,
                stops=request.stops,
                is_watched=bool(request.stream),
            )
            for sampling in request.samplings()
        ]
        if request.stream:
            return self._streamed(request, prompt, generations)
        return await self._whole(request, prompt, generations)

    async def _whole(self, request: ChatRequest, prompt: Prompt, generations: Sequence[Generation]) -> bytes:
        async with aclosing(self._growing(generations)) as growing:
            async for _ in growing:
                pass
        reply = self._writer.reply(request, prompt, generations)
        for choice, generation in zip(reply["choices"], generations, strict=True):
            self._renderer.remember(prompt, choice["message"], generation.tokens)
        return msgspec.json.encode(reply)

    async def _streamed(
        self, request: ChatRequest, prompt: Prompt, generations: Sequence[Generation]
    ) -> AsyncGenerator[bytes]:
        def ended(message: Mapping[str, Any], generation: Generation) -> None:
            self._renderer.remember(prompt, message, generation.tokens)

        stream = Stream(self._writer, request, prompt, generations, ended=ended)
        async with aclosing(self._growing(generations)) as growing:
            async for _ in growing:
                if events := b"".join(stream.more()):
                    yield events
        yield b"".join(stream.end())

    async def _growing(self, generations: Sequence[Generation]) -> AsyncGenerator[None]:
        """Have these written; comes by whenever there is news of them, the last time when all are done."""
        news = asyncio.Event()
        self._listening.update(dict.fromkeys(generations, news))
        try:
            self._batcher.submit(generations)
            is_done = False
            while not is_done:
                await news.wait()
                news.clear()
                if failed := next((each.failure for each in generations if each.failure), None):
                    raise failed
                is_done = all(each.finish for each in generations)
                yield
        finally:
            for generation in generations:
                generation.is_abandoned = True
                self._listening.pop(generation, None)

    def _deliver(self, generations: list[Generation]) -> None:
        """Called by the decoding thread."""
        self._server.loop.call_soon_threadsafe(self._tell, generations)

    def _tell(self, generations: list[Generation]) -> None:
        for generation in generations:
            if news := self._listening.get(generation):
                news.set()


def _loaded(options: Options, url: str) -> tuple[Any, Any]:
    shows_progress = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(options.folder, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(
            options.folder, dtype=options.dtype, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise EngineFailed(url, why=f"transformers cannot load the folder: {error}") from error
    finally:
        if shows_progress:
            logging.enable_progress_bar()
    device = options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device).eval().requires_grad_(requires_grad=False), tokenizer


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """The ids that end an answer: converted tokenizers often name another one than the model was trained with."""
    named = [model.config.get_text_config().eos_token_id, tokenizer.eos_token_id]
    if model.generation_config is not None:
        named.append(model.generation_config.eos_token_id)
    return frozenset(end for each in named for end in (each if isinstance(each, list) else [each]) if end is not None)


def _max_len(model: Any, options: Options) -> int:
    limits = [getattr(model.config.get_text_config(), "max_position_embeddings", None), options.max_len]
    known = [limit for limit in limits if limit]
    if not known:
        raise BadValue("max_len", None, why="the model's configuration has no limit: give one in the URL")
    return min(known)
