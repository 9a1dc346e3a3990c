"""A model call that is answered from memory: in the asker's words, as a stream if one is asked for, or as it failed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from agl_core.clock import Clock
from agl_core.errors import ReplayError
from agl_core.events import CallRecorded, ModelCall
from agl_core.gateway._ports import Calls, Memory, Question
from agl_core.gateway._refusals import Refused, Reply, durable
from agl_core.gateway._relay import Out, Relay
from agl_core.gateway._retries import Retries
from agl_core.wire import DIALECTS, in_words

if TYPE_CHECKING:
    from agl_core.gateway._calling import Asked

__all__ = ["Recalling", "live"]

_LEFT = frozenset({"client_disconnected", "cancelled"})
"""How a call ended whose asker wanted no more of it."""
_STATUS: Mapping[str, int] = {
    "endpoint_down": 502,
    "upstream_broken": 502,
    "upstream_not_json": 502,
    "upstream_timeout": 504,
    "model_not_found": 404,
    "policy_not_loaded": 409,
    "lease_lost": 410,
}
"""What the gateway answers to failures that have no status of their own; to any other, 503."""
_SOON = {"retry-after-ms": "1"}
"""Who asks again need not wait: nobody is busy."""


class Recalling:
    """Answers of a memory."""

    def __init__(self, calls: Calls, memory: Memory, retries: Retries, *, clock: Clock) -> None:
        self._calls, self._memory, self._retries, self._clock = calls, memory, retries, clock

    async def recall(self, asked: Asked, call: ModelCall) -> CallRecorded | None:
        """The recorded call whose answer this one is to have; None when a model is to be asked.

        Where neither will do, the call is kept as one that failed, and `Refused`.
        """
        question = Question(
            call_id=asked.call_id,
            admission=asked.admission,
            call=call,
            role=asked.given_role,
            agent=asked.agent,
            parent_call_id=asked.parent_call_id,
            place=asked.place,
            retry=asked.sent.number if asked.sent.is_counted else None,
        )
        try:
            return await self._memory.recall(question)
        except ReplayError as error:
            failed = CallRecorded(
                call_id="",
                rollout_id="",
                attempt_id="",
                call=call,
                role=asked.given_role or "policy",
                status="error",
                error=error.code.lower(),
                started_at=0,
                latency=0.0,
            )
            await self._keep(asked, failed)
            # Clients ask again at most other statuses, and some at any one that does not say what the header says.
            raise Refused(422, error.code, str(error), headers={"x-should-retry": "false"}) from error

    async def answer(self, asked: Asked, call: ModelCall, recorded: CallRecorded, out: Out) -> Reply | None:
        """The recorded answer to `call`, kept before its end goes; None when it has gone `out` piece by piece."""
        call = _answered(call, recorded)
        relay = Relay(asked.dialect, asked.body, out, clock=self._clock)
        is_streamed = bool(asked.body.get("stream")) and (recorded.status == "ok" or bool(call.choices))
        kept = replace(recorded, call=call, replay_of=recorded.call_id)
        try:
            if is_streamed:
                await relay.start(200, _seen(asked, recorded), "text/event-stream")
                for event in _pieces(call, recorded):
                    await relay.piece(event)
            await _left_alone(recorded)
        except asyncio.CancelledError:
            await self._keep(asked, replace(kept, status="broken", error="client_disconnected"), relay)
            raise
        await self._keep(asked, kept, relay)
        refused = _failure(call, recorded)
        if is_streamed:
            if refused is None or not _seen(asked, recorded):  # else who asked breaks it off itself
                await relay.end(refused)
            return None
        if refused is None:
            return Reply(200, msgspec.json.encode(asked.dialect.render_response(call)))
        return _failed(call, recorded, refused, _seen(asked, recorded))

    async def _keep(self, asked: Asked, event: CallRecorded, relay: Relay | None = None) -> None:
        """As a call that is asked now; nothing has left the gateway for it."""
        before, first = self._retries.before(asked.sent), relay.first_piece_at if relay is not None else None
        event = replace(
            event,
            call_id=asked.call_id,
            rollout_id=asked.admission.rollout_id,
            attempt_id=asked.admission.attempt_id,
            agent=asked.agent,
            parent_call_id=asked.parent_call_id,
            place=asked.place,
            started_at=asked.started_at,
            latency=(self._clock.now() - asked.started_at) / 1e9,
            first_token=None if first is None else (first - asked.started_at) / 1e9,
            tries=(),
            retry_of=before.call_id if before else None,
            requests=0,
        )
        if event.status != "ok":
            self._retries.failed(asked.sent, event)
        await durable(self._calls.end_call(event, asked.admission))


def _answered(call: ModelCall, recorded: CallRecorded) -> ModelCall:
    """What is asked now, with the answer of then."""
    then = recorded.call
    spoken, dialect = DIALECTS[then.dialect], DIALECTS[call.dialect]
    if spoken is dialect:
        call = dialect.response(call, dialect.render_response(then))
    else:
        then = in_words(then, call.dialect)
    return replace(
        call,
        choices=then.choices,
        prompt_token_ids=then.prompt_token_ids,
        usage=then.usage,
        response_id=then.response_id,
        provenance=then.provenance,
        logprobs_mode=then.logprobs_mode,
    )


def _pieces(call: ModelCall, recorded: CallRecorded) -> list[bytes]:
    """The answer as the events of a stream, as far as it went then; `_failure` says how it ended, if not well."""
    dialect = DIALECTS[call.dialect]
    if recorded.status == "error":  # what went wrong was said last, and is said last again
        said = dialect.render_response(call)
        call = dialect.response(call, {name: value for name, value in said.items() if name != "error"})
    return dialect.render_stream(call)


def _failed(call: ModelCall, recorded: CallRecorded, refused: Refused, seen: Mapping[str, str]) -> Reply:
    """How the call failed, in the endpoint's own words where it had some."""
    dialect = DIALECTS[call.dialect]
    said = dialect.render_response(call)
    if recorded.status == "error" and recorded.http_status == refused.status and "error" in said:
        return Reply(refused.status, msgspec.json.encode(said), refused.headers)
    return replace(refused.reply(dialect), headers={**refused.headers, **seen})


def _seen(asked: Asked, recorded: CallRecorded) -> Mapping[str, str]:
    """What tells a client how it saw the call end, where no answer said so: it asked the provider itself."""
    unsaid = recorded.status == "broken" or recorded.http_status is None
    return {"agl-ended": recorded.error or "broken"} if asked.is_direct and recorded.status != "ok" and unsaid else {}


def live() -> Reply:
    """What tells a client that would have asked a provider itself that it is to do so."""
    return Reply(200, b"{}", {"agl-live": "1"})


def _failure(call: ModelCall, recorded: CallRecorded) -> Refused | None:
    """How the call failed; nothing when it went well."""
    if recorded.status == "ok":
        return None
    code, status = recorded.error or recorded.status, recorded.http_status
    shown = status if status is not None and status >= 400 else _STATUS.get(code, 503)
    match DIALECTS[call.dialect].render_response(call):
        case {"error": {"message": str(why)}}:
            pass
        case _:
            why = f"so {recorded.call_id} ended when it was recorded"
    return Refused(shown, code.upper(), why, headers=_SOON)


async def _left_alone(recorded: CallRecorded) -> None:
    """An asker that hung up has as long to do so again as it took then; after that, it is told that the call broke."""
    if recorded.status == "broken" and recorded.error in _LEFT:
        await asyncio.sleep(recorded.latency + 1.0)
