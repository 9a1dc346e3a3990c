"""What is asked in one dialect of an endpoint that may speak another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgspec

from agl_core.engine import Endpoint
from agl_core.events import ModelCall
from agl_core.gateway._refusals import Refused
from agl_core.wire import DIALECTS, Dialect, anthropic_messages, in_words

__all__ = ["Sampling", "Translation"]

_EMBEDDINGS = "openai.embeddings"
"""Vectors are no words: nothing else says them."""
_CONTINUED = "previous_response_id"
"""Of the responses API: a history that only its server has."""
Sampling = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""Fills a body in, in the dialect of that name."""


class Translation:
    """Of one call: most often there is nothing to translate."""

    def __init__(self, dialect: Dialect, body: Mapping[str, Any], endpoint: Endpoint, sampling: Sampling) -> None:
        self._dialect = dialect
        self._spoken = dialect if dialect.NAME in endpoint.dialects else DIALECTS[endpoint.dialects[0]]
        if _EMBEDDINGS in (dialect.NAME, self._spoken.NAME) and dialect is not self._spoken:
            spoken = ", ".join(endpoint.dialects)
            raise Refused(400, "NOT_SPOKEN", f"{endpoint.model} speaks {spoken}, and {dialect.NAME} cannot be said so")
        if dialect is not self._spoken and body.get(_CONTINUED) is not None:
            why = f"{endpoint.model} keeps no responses: send the whole `input` instead of `{_CONTINUED}`"
            raise Refused(400, "NOT_SPOKEN", why)
        if dialect is not self._spoken and body.get("thread") is not None and dialect is anthropic_messages:
            why = f"{endpoint.model} keeps no threads: send the whole `messages` instead of `thread`"
            raise Refused(400, anthropic_messages.THREAD_UNSUPPORTED, why)
        self._mode = endpoint.logprobs_mode
        self._seen = body
        self.is_plain = self._spoken is dialect
        """Whether agent and endpoint speak the same dialect."""
        if self.is_plain:
            self._asking = sampling(dialect.NAME, body)
            self._call = dialect.request(self._asking)
        else:
            call = dialect.request(body)
            self._asking = sampling(self._spoken.NAME, self._spoken.render_request(call))
            self._call = replace(call, sampling=self._spoken.request(self._asking).sampling)

    @property
    def route(self) -> str:
        """Where the endpoint takes it."""
        return self._spoken.ROUTE

    @property
    def is_streamed(self) -> bool:
        """Whether the answer is to come in pieces."""
        return bool(self._seen.get("stream"))

    @property
    def streams(self) -> bool:
        """Whether pieces can go through as they come; a translated answer is cut into pieces when it is whole."""
        return self.is_streamed and self.is_plain

    def body(self, endpoint: Endpoint) -> dict[str, Any]:
        """What the endpoint is asked, with what is recorded beside what the agent wants."""
        asking = self._asking
        if asking.get("model") != (name := endpoint.named or endpoint.model):
            asking = {**asking, "model": name}  # `policy@3` is our word, not the engine's
        return self._spoken.add_capture(
            asking, token_ids=endpoint.token_ids, logprobs=endpoint.logprobs_mode is not None
        )

    def read(self, raw: bytes) -> dict[str, Any]:
        """The endpoint's answer; `ValueError` says why it is none."""
        return self._spoken.read(raw, self._asking)

    def answered(self, body: Mapping[str, Any]) -> ModelCall:
        """The call with its answer."""
        if self.is_plain:
            return self._dialect.response(self._call, body, logprobs_mode=self._mode)
        answered = self._spoken.response(self._spoken.request(self._asking), body, logprobs_mode=self._mode)
        answered = in_words(answered, self._dialect.NAME)  # the rest would be taken for the agent's own dialect
        return replace(
            self._call,
            choices=answered.choices,
            prompt_token_ids=answered.prompt_token_ids,
            usage=answered.usage,
            response_id=answered.response_id,
            provenance=answered.provenance,
            logprobs_mode=answered.logprobs_mode,
        )

    def shown(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer, in the agent's dialect, without what it did not ask for."""
        if self.is_plain:
            return self._dialect.strip_capture(body, self._seen)
        return self._dialect.render_response(self.answered(body))

    def events(self, body: Mapping[str, Any]) -> list[bytes]:
        """The answer as a stream, when it could not be one."""
        return self._dialect.render_stream(self.answered(body))

    def refusal(self, status: int, code: str, body: Mapping[str, Any]) -> bytes:
        """The endpoint's error, as the agent reads one."""
        return msgspec.json.encode(self._refusal(status, code, body))

    def failed(self, status: int, code: str, body: Mapping[str, Any]) -> ModelCall:
        """The call with the endpoint's error, as the agent reads that."""
        if self.is_plain:
            return self.answered(body)
        return self._dialect.response(self._call, self._refusal(status, code, body))

    def _refusal(self, status: int, code: str, body: Mapping[str, Any]) -> dict[str, Any]:
        error = body.get("error")
        message = error.get("message") if isinstance(error, dict) else None
        return self._dialect.refusal(status, code, str(message or code))
