"""One model call through the gateway: noted before it leaves, kept before it is answered, once whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from agl_core.clock import Clock
from agl_core.errors import AglError
from agl_core.events import CallRecorded, ModelCall
from agl_core.gateway._landing import Landing
from agl_core.gateway._lanes import Lanes, Target
from agl_core.gateway._ports import Calls
from agl_core.gateway._refusals import Refused, Reply
from agl_core.gateway._seeds import Ordinals, seed
from agl_core.gateway._upstream import Answer, Upstream
from agl_core.store import Admission
from agl_core.wire import openai_chat

__all__ = ["Asked", "Chat"]

_SAME = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Two names of one field: who gave one needs no default for the other."""


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
        self._ordinals, self._landing = Ordinals(), Landing()

    async def answer(self, asked: Asked, *, is_gone: Callable[[], bool]) -> Reply:
        """The reply, whose call is in the log by then. `is_gone` tells a client that left from a gateway that stops."""
        model = asked.body.get("model")
        if not isinstance(model, str):
            raise Refused(400, "BAD_VALUE", "`model` is missing: name one that GET .../v1/models lists")
        if asked.body.get("stream"):
            raise Refused(400, "STREAMING_NOT_YET", "this release does not stream: ask without `stream`")
        target = self._lanes.target(model)
        body = self._filled(asked)
        noted = self._calls.begin_call(asked.call_id, asked.admission, model=model)
        call = openai_chat.request(body)  # while the log is at work
        try:
            async with self._lanes.passage(model) as target:
                await self._landing.durable(noted)
                answer = await self._upstream.ask(target, _captured(body, target))
        except asyncio.CancelledError:
            why = "client_disconnected" if is_gone() else "cancelled"
            await self._keep(asked, call, Answer(status="broken", error=why), target=target)
            raise
        except AglError as error:  # the model went away while the call waited at the gate
            await self._keep(asked, call, Answer(status="error", error=error.code.lower()), target=target)
            raise
        await self._keep(asked, call, answer, target=target)
        return _reply(answer, asked.body)

    def _filled(self, asked: Asked) -> dict[str, Any]:
        """The request with the defaults of its attempt, and a seed, where it left them out."""
        body = dict(asked.body)
        for name, value in asked.admission.sampling.items():
            if body.get(name) is None and body.get(_SAME.get(name, name)) is None:
                body[name] = value
        ordinal = self._ordinals.take(asked.admission.attempt_id)
        if body.get("seed") is None and (drawn := seed(asked.admission, ordinal)) is not None:
            body["seed"] = drawn
        return body

    async def _keep(self, asked: Asked, call: ModelCall, answer: Answer, *, target: Target) -> None:
        said = answer.body or {}
        version = said.get("policy_version")
        event = CallRecorded(
            call_id=asked.call_id,
            rollout_id=asked.admission.rollout_id,
            attempt_id=asked.admission.attempt_id,
            call=openai_chat.response(call, said, logprobs_mode=target.endpoint.logprobs_mode),
            role=target.role,
            agent=asked.agent,
            parent_call_id=asked.parent_call_id,
            status=answer.status,
            error=answer.error,
            http_status=answer.http_status,
            policy_version=version if type(version) is int else target.version,
            started_at=asked.started_at,
            latency=(self._clock.now() - asked.started_at) / 1e9,
        )
        await self._landing.durable(self._calls.end_call(event, asked.admission))


def _captured(body: dict[str, Any], target: Target) -> dict[str, Any]:
    endpoint = target.endpoint
    if body["model"] != endpoint.model:
        body = {**body, "model": endpoint.model}  # `policy@3` is our word, not the engine's
    return openai_chat.add_capture(body, token_ids=endpoint.token_ids, logprobs=endpoint.logprobs_mode is not None)


def _reply(answer: Answer, asked: dict[str, Any]) -> Reply:
    if answer.reply is None:
        shown = openai_chat.strip_capture(answer.body or {}, asked)
        return Reply(answer.http_status or 200, msgspec.json.encode(shown), answer.headers)
    return answer.reply
