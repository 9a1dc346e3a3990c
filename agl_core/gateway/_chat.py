"""One model call through the gateway: noted before it leaves, kept before it is answered, once whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from agl_core.clock import Clock
from agl_core.errors import AglError
from agl_core.events import CallRecorded, ModelCall
from agl_core.gateway._lanes import Lanes, Target
from agl_core.gateway._ports import Admission, Calls
from agl_core.gateway._refusals import Refused, Reply, refusal
from agl_core.gateway._seeds import Ordinals, seed
from agl_core.gateway._upstream import Answer, Upstream
from agl_core.wire import openai_chat

__all__ = ["Asked", "Chat", "ClientGone"]

T = TypeVar("T")


class ClientGone(Exception):
    """Nobody listens for the answer any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, as it came in."""

    admission: Admission
    body: dict[str, Any]
    call_id: str
    agent: str | None
    parent_call_id: str | None
    started_at: int


class Chat:
    """Chat completions for attempts."""

    def __init__(self, calls: Calls, lanes: Lanes, upstream: Upstream, *, clock: Clock) -> None:
        self._calls, self._lanes, self._upstream, self._clock = calls, lanes, upstream, clock
        self._ordinals = Ordinals()

    async def answer(self, asked: Asked, *, gone: Callable[[], bool]) -> Reply:
        """The reply; the call it belongs to is in the log by then. `gone` tells a lost client from a shutdown."""
        model = asked.body.get("model")
        if not isinstance(model, str):
            raise Refused(400, "BAD_VALUE", "`model` is missing: name one of the models that GET /v1/models lists")
        if asked.body.get("stream"):
            raise Refused(400, "STREAMING_NOT_YET", "this release does not stream: ask without `stream`")
        self._lanes.known(model)
        body = self._filled(asked)
        call = openai_chat.request(body)
        noted = self._calls.begin_call(asked.call_id, asked.admission, model=model)
        try:
            lane = await self._lanes.enter(model)
            with self._lanes.passing(lane) as target:
                await _durable(noted)
                answer = await self._upstream.ask(target, _captured(body, target))
                return await self._keep(asked, call, answer, target=target)
        except AglError as error:
            ...
        raise AssertionError
