"""One model call through the gateway: noted before it leaves, kept before its answer ends, once whatever happens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from agl_core.clock import Clock
from agl_core.errors import AglError, TokenIdsMissing
from agl_core.events import CallRecorded, Role
from agl_core.gateway._lanes import Lanes, Target
from agl_core.gateway._ledger import Ledger, Trip
from agl_core.gateway._ports import Calls, Memory
from agl_core.gateway._recalling import Recalling, live
from agl_core.gateway._refusals import Refused, Reply, durable
from agl_core.gateway._relay import Out, Relay
from agl_core.gateway._retries import Retries, Sent
from agl_core.gateway._sampling import filled
from agl_core.gateway._seeds import Ordinals, seed
from agl_core.gateway._translation import Sampling, Translation
from agl_core.gateway._upstream import Answer, Upstream
from agl_core.store import Admission
from agl_core.wire import Dialect, anthropic_messages, openai_embeddings, policy_version

__all__ = ["Asked", "Calling"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, as it came in."""

    dialect: Dialect
    admission: Admission
    body: dict[str, Any]
    sent: Sent
    call_id: str
    agent: str | None
    parent_call_id: str | None
    place: str | None = None
    """Where in the agent's program it is asked, as `CallRecorded` has it."""
    started_at: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that a provider is to see."""
    is_direct: bool = False
    """Whether it would have gone past the gateway, if this were no replay."""
    given_role: Role | None = None
    """Of a judge, and of an algorithm, whatever model they ask: never the policy's, and sampled as they say."""

    def role(self, target: Target) -> Role:
        """What the call is of, when it is asked there."""
        if self.given_role is not None:
            return self.given_role
        return "tool" if self.dialect is openai_embeddings else target.role


class Calling:
    """Model calls of attempts."""

    def __init__(
        self,
        calls: Calls,
        lanes: Lanes,
        upstream: Upstream,
        *,
        clock: Clock,
        overrides: Mapping[str, Mapping[str, Any]],
        ledger: Ledger,
        memory: Memory | None = None,
    ) -> None:
        self._calls, self._lanes, self._upstream, self._clock = calls, lanes, upstream, clock
        self._ledger = ledger
        self._overrides = overrides
        self._told: set[str] = set()
        """Places that answer without token ids, of which somebody has been told."""
        self._ordinals = Ordinals()
        self._retries = Retries()
        self._recalling = Recalling(calls, memory, self._retries, clock=clock) if memory is not None else None

    async def answer(self, asked: Asked, out: Out, *, is_gone: Callable[[], bool]) -> Reply | None:
        """The reply, whose call is in the log by then; None when it has gone `out` piece by piece.

        `is_gone` tells a client that left from a gateway that stops.
        """
        model = asked.body.get("model")
        if not isinstance(model, str):
            raise Refused(400, "BAD_VALUE", "`model` is missing: name one that GET .../v1/models lists")
        sampling = self._sampling(asked)
        if self._recalling is not None:
            body = asked.body if asked.is_direct else sampling(asked.dialect.NAME, asked.body)
            call = asked.dialect.request(body)
            if (recorded := await self._recalling.recall(asked, call)) is not None:
                return await self._recalling.answer(asked, call, recorded, out)
            if asked.is_direct:
                return live()
        rollout_id = asked.admission.rollout_id or asked.call_id  # whoever asks for no rollout stays with no place
        target, *_ = self._lanes.targets(model, rollout_id)
        way = Translation(asked.dialect, asked.body, target.endpoint, sampling)
        note = partial(self._calls.begin_call, asked.call_id, asked.admission, model=model, role=asked.role(target))
        trip = Trip(self._ledger, who=asked.admission.attempt_id, note=lambda sent: durable(note(requests=sent)))
        await trip.hold()  # before it is noted: a call that no budget covers leaves no trace
        relay = Relay(asked.dialect, asked.body, out, clock=self._clock) if way.streams else None
        keep = partial(self._keep, asked, way, trip)
        try:
            noted = note()
            try:
                async with self._lanes.passage(model, rollout_id) as targets:
                    target = targets[0]
                    await durable(noted)
                    target, answer = await self._asked_of(targets, way, asked, trip, relay)
            except asyncio.CancelledError:
                why = "client_disconnected" if is_gone() else "cancelled"
                await keep(Answer(status="broken", error=why), target=target, relay=relay)
                raise
            except AglError as error:  # the model went away while the call waited at the gate
                await keep(Answer(status="error", error=error.code.lower()), target=target, relay=None)
                raise
            await keep(answer, target=target, relay=relay)
        finally:
            trip.end()  # it is in the log by now
        if relay is not None and relay.has_begun:
            await relay.end(answer.refused)
            return None
        if answer.refused is not None:
            raise answer.refused
        return _shown(way, answer)

    async def count(
        self, admission: Admission, body: Mapping[str, Any], route: str, headers: Mapping[str, str]
    ) -> Reply:
        """How many tokens a request would have, as the model's own server counts; it is no call, and not kept."""
        if self._recalling is not None:
            raise Refused(404, "NOT_RECORDED", "how many tokens a request has is no call: no log remembers it")
        target, *_ = self._lanes.targets(str(body.get("model")), admission.rollout_id)
        endpoint = target.endpoint
        if anthropic_messages.NAME not in endpoint.dialects:
            why = f"{endpoint.model} does not speak Anthropic's dialect, and only its own server could count its tokens"
            raise Refused(404, "NOT_SPOKEN", why)
        asking = {**body, "model": endpoint.named or endpoint.model}
        answer = await self._upstream.ask(target, route, asking, headers=headers, trip=Trip(Ledger()))
        if answer.refused is not None:
            raise answer.refused
        return Reply(answer.http_status or 200, answer.raw or msgspec.json.encode(answer.body), answer.headers)

    async def _asked_of(
        self, targets: Sequence[Target], way: Translation, asked: Asked, trip: Trip, relay: Relay | None
    ) -> tuple[Target, Answer]:
        """Of the first place that is there."""
        for place, target in enumerate(targets, start=1):
            body = way.body(target.endpoint)
            answer = await self._upstream.ask(
                target, way.route, body, headers=asked.headers, trip=trip, relay=relay, read=way.read
            )
            if answer.error != "endpoint_down" or place == len(targets):
                return target, answer
            trip.tries.append("endpoint_down")
        raise AssertionError

    def _sampling(self, asked: Asked) -> Sampling:
        admission = asked.admission
        if asked.given_role is not None:  # what a run says of its modes is meant for its agents
            return partial(filled, overrides={}, defaults={}, seed=None)
        drawn = seed(admission, self._ordinals.take(admission.attempt_id))
        overrides = self._overrides.get(admission.mode or "", {})
        return partial(filled, overrides=overrides, defaults=admission.sampling, seed=drawn)

    async def _keep(
        self, asked: Asked, way: Translation, trip: Trip, answer: Answer, *, target: Target, relay: Relay | None
    ) -> None:
        streamed = relay if relay is not None and relay.has_begun else None
        said = streamed.body() if streamed else answer.body or {}
        status, is_told = answer.http_status, answer.status == "error" and said and not streamed
        call = way.failed(status, answer.error or "", said) if is_told and status else way.answered(said)
        version = policy_version(said)
        first = streamed.first_piece_at if streamed else None
        before = self._retries.before(asked.sent)
        event = CallRecorded(
            call_id=asked.call_id,
            rollout_id=asked.admission.rollout_id,
            attempt_id=asked.admission.attempt_id,
            call=call,
            role=asked.role(target),
            agent=asked.agent,
            parent_call_id=asked.parent_call_id,
            status=answer.status,
            error=answer.error,
            http_status=answer.http_status,
            policy_version=target.version if version is None else version,
            started_at=asked.started_at,
            latency=(self._clock.now() - asked.started_at) / 1e9,
            first_token=None if first is None else (first - asked.started_at) / 1e9,
            tries=(*before.tries, before.error or "unknown", *trip.tries) if before else tuple(trip.tries),
            retry_of=before.call_id if before else None,
            requests=trip.requests,
            place=asked.place,
        )
        self._ledger.pay(event.call)
        if event.status != "ok":
            self._retries.failed(asked.sent, event)
        self._look_for_ids(event, target)
        await durable(self._calls.end_call(event, asked.admission))

    def _look_for_ids(self, event: CallRecorded, target: Target) -> None:
        """Say it at the first call, not when the training finds nothing to learn from."""
        endpoint, call = target.endpoint, event.call
        is_asked = endpoint.token_ids and event.role == "policy" and event.status == "ok"
        if is_asked and call.choices and call.provenance != "engine" and endpoint.url not in self._told:
            self._told.add(endpoint.url)
            _log.warning("%s: %s", TokenIdsMissing.code, TokenIdsMissing(endpoint.model, url=endpoint.url))


def _shown(way: Translation, answer: Answer) -> Reply:
    status, body = answer.http_status or 200, answer.body or {}
    if answer.status == "error":
        return Reply(
            status, answer.raw if way.is_plain else way.refusal(status, answer.error or "", body), answer.headers
        )
    if way.is_streamed:
        return Reply(status, b"".join(way.events(body)), answer.headers, "text/event-stream")
    return Reply(status, msgspec.json.encode(way.shown(body)), answer.headers)
