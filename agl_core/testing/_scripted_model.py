"""A test double for a model: a server on loopback whose answers are a function of the request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Condition, Event
from types import MappingProxyType
from typing import Any, Protocol, Self

from agl_core.engine import Endpoint
from agl_core.testing import (
    _scripted_chat,
    _scripted_completions,
    _scripted_embeddings,
    _scripted_messages,
    _scripted_responses,
    _scripted_token_count,
)
from agl_core.testing._scripted_faults import (
    Broken,
    Failing,
    Fault,
    Malformed,
    Reply,
    Script,
    torn,
    torn_body,
)
from agl_core.testing._scripted_http import Sent, Server, json_reply
from agl_core.testing._scripted_values import Answer, Asked, Refusal, Said

__all__ = ["Answer", "Asked", "Refusal", "Reply", "Script", "ScriptedModel"]


class _Dialect(Protocol):
    """What a module of this package says of one route."""

    def prompts(self, asked: Mapping[str, Any], /) -> list[list[int]]: ...
    def body(self, said: Said, /) -> dict[str, Any]: ...
    def events(self, said: Said, /) -> Iterator[bytes] | None: ...
    def failure(self, said: Said, fault: Failing, /) -> Iterator[bytes]: ...
    def refused(self, refusal: Refusal, /) -> dict[str, Any]: ...


_DIALECTS: Mapping[str, _Dialect] = MappingProxyType(
    {
        "/chat/completions": _scripted_chat,
        "/completions": _scripted_completions,
        "/responses": _scripted_responses,
        "/messages/count_tokens": _scripted_token_count,
        "/messages": _scripted_messages,
        "/embeddings": _scripted_embeddings,
    }
)
"""By the end of the path; the first that fits."""


class ScriptedModel:
    """Answers what is asked of a model with what `script` makes of the request, and keeps every request.

    Used as a context manager. `script` is a constant, or a function that runs in a thread of the request's own:
    it may wait for an event, and what it raises is answered with status 500. A chat is rendered byte by byte, so
    that the prompt of the next turn begins with the prompt and the answer of this one.

    Served, streamed when the request says `"stream": true`: `POST /v1/chat/completions`, `/v1/completions`,
    `/v1/responses` and Anthropic's `/v1/messages` (its base URL is `url` without `/v1`). In one piece:
    `POST /v1/embeddings`, `/v1/messages/count_tokens` and `GET /v1/models`.
    """

    def __init__(
        self,
        script: Script | Reply = "ok",
        *,
        model: str = "policy",
        max_len: int = 32_768,
        version: int | None = None,
        owner: str = "test",
    ) -> None:
        """`owner` is who it says serves the model: what asks vLLM for token ids may ask `vllm` for them."""
        self.model, self.max_len, self._owner = model, max_len, owner
        self.version = version
        """Reported as `policy_version`; may be set while the server runs."""
        self._script: Script = script if callable(script) else lambda _asked: script
        self._requests: list[Asked] = []
        self._arrived = Condition()
        self._server: Server | None = None

    @property
    def requests(self) -> tuple[Asked, ...]:
        """Every request that a dialect is served for, in the order they came."""
        with self._arrived:
            return tuple(self._requests)

    @property
    def url(self) -> str:
        """Base URL; ends in `/v1`."""
        if self._server is None:
            raise RuntimeError("it listens only inside its `with` statement")
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def endpoint(self) -> Endpoint:
        """What an engine would say of it."""
        return Endpoint(url=self.url, model=self.model, max_len=self.max_len)

    def wait_for_requests(self, count: int, *, timeout: float = 30.0) -> tuple[Asked, ...]:
        """The requests, once there are `count` of them; `TimeoutError` if they do not come."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self._requests) >= count, timeout):
                raise TimeoutError(f"{len(self._requests)} of {count} requests came within {timeout:g} s")
            return tuple(self._requests)

    def start(self) -> None:
        """Listen, on a port that is free."""
        self._server = Server(self._listed, self._reply)
        self._server.start()

    def stop(self) -> None:
        """Hang up on everybody, and listen no more; calling it twice is harmless."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def answer(self, asked: Asked) -> tuple[int, Mapping[str, str], Mapping[str, Any]]:
        """Status, headers and body for a request, as if no stream was asked for and nothing went wrong on the way."""
        dialect = _dialect(asked.path) or _scripted_chat
        outcome = self._outcome(asked, dialect)
        if isinstance(outcome, Refusal):
            return outcome.status, outcome.sent_headers, dialect.refused(outcome)
        return 200, {}, outcome.body

    def _listed(self, asked: Asked) -> Sent:
        if not asked.path.partition("?")[0].endswith("/models"):
            return _refused(Refusal(status=404, code="not_found", message=f"GET {asked.path} is not served"))
        if "anthropic-version" in asked.headers:
            return json_reply(200, _scripted_messages.listed(self.model))
        listed = {"id": self.model, "object": "model", "created": 0, "owned_by": self._owner}
        if self._owner == "vllm":
            listed["max_model_len"] = self.max_len
        return json_reply(200, {"object": "list", "data": [listed]})

    def _reply(self, asked: Asked) -> Sent:
        dialect = _dialect(asked.path)
        if dialect is None:
            return _refused(Refusal(status=404, code="not_found", message=f"POST {asked.path} is not served"))
        outcome = self._outcome(asked, dialect)
        if isinstance(outcome, Refusal):
            return _refused(outcome, dialect)
        if outcome.said is None:
            return json_reply(200, outcome.body)
        return _sent(outcome.said, outcome, dialect, wait=self._wait)

    def _outcome(self, asked: Asked, dialect: _Dialect) -> Refusal | _Outcome:
        """What the script makes of the request, or why it was not asked."""
        with self._arrived:
            self._requests.append(asked)
            number = len(self._requests)
            self._arrived.notify_all()
        if asked.body.get("model") != self.model:
            said = f"no model {asked.body.get('model')!r}; there is {self.model!r}"
            return Refusal(status=404, code="model_not_found", message=said)
        try:
            prompts = dialect.prompts(asked.body)
        except (AttributeError, LookupError, TypeError, ValueError) as error:  # a body may be any JSON
            return Refusal(status=400, code="invalid_value", message=str(error))
        if (longest := max(map(len, prompts))) >= self.max_len:
            said = f"the prompt has {longest} tokens and this model takes {self.max_len}"
            return Refusal(status=400, code="context_length_exceeded", message=said)
        try:
            return self._said(asked, dialect, prompts=tuple(map(tuple, prompts)), number=number)
        except Exception as error:  # noqa: BLE001 - the rim of the server: a test's script may raise anything
            return Refusal(status=500, code="script_raised", message=f"{type(error).__name__}: {error}")

    def _said(
        self, asked: Asked, dialect: _Dialect, *, prompts: tuple[tuple[int, ...], ...], number: int
    ) -> Refusal | _Outcome:
        reply = self._script(asked)
        if isinstance(reply, Refusal):
            return reply
        if isinstance(reply, Mapping):
            return _Outcome(body=reply)
        fault = reply if isinstance(reply, Fault) else None
        said = Said(
            asked=asked,
            answers=_answers(reply.answer if isinstance(reply, Fault) else reply),
            prompts=prompts,
            number=number,
            model=self.model,
            version=self.version,
        )
        # Made for a stream too: what cannot be said is told as the script's mistake, before anything has gone out.
        return _Outcome(body=dialect.body(said), said=said, fault=fault)

    def _wait(self, until: Event) -> None:
        if self._server is not None:
            self._server.wait(until)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What a request comes to, when it is not refused."""

    body: Mapping[str, Any]
    said: Said | None = None
    """Null when the script gave the body itself."""
    fault: Fault | None = None


def _dialect(path: str) -> _Dialect | None:
    place = path.partition("?")[0]
    return next((dialect for end, dialect in _DIALECTS.items() if place.endswith(end)), None)


def _answers(reply: str | Answer | Sequence[Answer]) -> tuple[Answer, ...]:
    if isinstance(reply, str):
        return (Answer(text=reply),)
    if isinstance(reply, Answer):
        return (reply,)
    if not reply:
        raise ValueError("the script gave no answer: give at least one")
    return tuple(reply)


def _sent(said: Said, outcome: _Outcome, dialect: _Dialect, *, wait: Callable[[Event], None]) -> Sent:
    fault = outcome.fault
    if isinstance(fault, Broken) and fault.after is None:
        return Sent(pieces=(), is_silent=True)
    events = dialect.events(said) if said.asked.body.get("stream") else None
    if events is not None:
        pieces = torn(events, fault, failure=lambda failing: dialect.failure(said, failing), wait=wait)
        return Sent(headers={"content-type": "text/event-stream; charset=utf-8"}, pieces=pieces)
    if isinstance(fault, Failing):
        return _refused(Refusal(status=fault.status, code=fault.code, message=fault.message), dialect)
    content = json.dumps(outcome.body).encode()
    if isinstance(fault, Malformed):
        content = content[: min(fault.after, len(content) - 1)]
    pieces = torn_body(content, fault, wait=wait)
    return Sent(headers={"content-type": "application/json"}, pieces=pieces, length=len(content))


def _refused(refusal: Refusal, dialect: _Dialect = _scripted_chat) -> Sent:
    return json_reply(refusal.status, dialect.refused(refusal), refusal.sent_headers)
