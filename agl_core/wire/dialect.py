"""What every dialect offers: a request and an answer to `ModelCall` and back, and an answer that comes in pieces.

A dialect is a module of this package. No parser raises on bad input: a field that is not what it should be counts as
one the dialect has no word for, and what it has no word for comes back, as it came, when the call is rendered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from agl_core.events import ModelCall
from agl_core.wire.sse import Sent

__all__ = ["Assembly", "Dialect"]


class Assembly(Protocol):
    """A streamed answer, put together as it comes."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing if the stream ends here."""
        ...

    @property
    def error(self) -> str | None:
        """A stable word for the error that the stream itself told; null when it told none."""
        ...

    def add(self, event: Sent) -> bytes:
        """Take an event in. What the asker is to see of it: its own bytes, other ones, or none."""
        ...

    def body(self) -> dict[str, Any]:
        """The answer as if it had not been streamed, as far as it has come; `Dialect.response` reads it."""
        ...


class Dialect(Protocol):
    """One family of routes."""

    NAME: str
    """As `ModelCall.dialect` says it."""
    ROUTE: str
    """Behind the base URL: `chat/completions`."""

    def request(self, body: Mapping[str, Any]) -> ModelCall:
        """What is asked. If the dialect is the call's own, `render_request` gives back every field."""
        ...

    def render_request(self, call: ModelCall) -> dict[str, Any]:
        """The body that asks for `call`; of a call in another dialect, as much as this one can say."""
        ...

    def read(self, raw: bytes, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The whole answer to the request `asked`, from its bytes; `ValueError` says why it is no JSON object."""
        ...

    def response(self, call: ModelCall, body: Mapping[str, Any], *, logprobs_mode: str | None = None) -> ModelCall:
        """`call` with its answer; `logprobs_mode` is what the endpoint says of its log-probabilities."""
        ...

    def render_response(self, call: ModelCall) -> dict[str, Any]:
        """The answer of `call` as its asker saw it; of a call in another dialect, as much as this one can say."""
        ...

    def render_stream(self, call: ModelCall) -> list[bytes]:
        """The answer of `call` as the events of a stream, the last one included."""
        ...

    def assembly(self, asked: Mapping[str, Any]) -> Assembly:
        """For the streamed answer to the request `asked`, as the asker sent it."""
        ...

    def add_capture(self, body: Mapping[str, Any], *, token_ids: bool, logprobs: bool) -> dict[str, Any]:
        """`body`, asking also for what is recorded: sampled tokens, how likely they were, usage at a stream's end."""
        ...

    def strip_capture(self, response: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
        """`response` without what the request `asked` did not want."""
        ...

    def refusal(self, status: int, code: str, message: str) -> dict[str, Any]:
        """An error, as clients of the dialect read it."""
        ...

    def broken(self, code: str, message: str) -> bytes:
        """The event that tells, in the middle of a stream, that it ends here; clients raise on it."""
        ...
