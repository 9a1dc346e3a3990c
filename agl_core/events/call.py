"""Model calls: what was asked, what came back, and with which tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from agl_core.events._base import F32, U32, Chat, Event, Once, Pooled, event
from agl_core.events.message import Message, Tool

__all__ = ["CallRecorded", "CaptureLost", "Choice", "ModelCall", "Provenance", "Role", "Sampling", "Usage"]

Role = Literal["policy", "judge", "tool"]
Provenance = Literal["engine", "retokenised", "absent"]
Status = Literal["ok", "error", "broken", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens were drawn; `None` means the request left it to the engine."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the provider counts them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer of a call."""

    message: Message
    finish_reason: str | None = None
    """`stop`, `length`, `tool_calls`, `content_filter`, as the provider said."""
    token_ids: Once = ()
    """The ids that were sampled, the end-of-turn token included when it was sampled."""
    logprobs: F32 = ()
    """Log-probability of each sampled id, same length as `token_ids`, or empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One model call, in no provider's dialect."""

    model: str
    messages: Chat[Message] = ()
    tools: Pooled[tuple[Tool, ...]] = ()
    sampling: Sampling = Sampling()
    choices: tuple[Choice, ...] = ()
    prompt_token_ids: U32 = ()
    usage: Usage = Usage()
    response_id: str | None = None
    provenance: Provenance = "absent"
    """Whether the token ids are the engine's own, were made again from text, or are missing."""
    logprobs_mode: str | None = None
    """`processed` when the log-probabilities are of the distribution that was sampled, else `raw`."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields this vocabulary has no name for, as `dialect` says them."""
    dialect: str = "openai.chat"
    """The dialect it was asked in: a module of `agl_core.wire`."""


@event("call.recorded", schema=1)
class CallRecorded(Event):
    """A model was asked; it answered, failed, or broke off."""

    call_id: str
    rollout_id: str
    """Empty, as the attempt is, of what the algorithm of a run asked: that stands in the stream of the run."""
    attempt_id: str
    call: ModelCall
    role: Role = "policy"
    """Only `policy` calls become training rows."""
    agent: str | None = None
    """Who asked, when the agent has a name."""
    parent_call_id: str | None = None
    """The call it was made for, when the agent says so."""
    status: Status = "ok"
    error: str | None = None
    http_status: int | None = None
    policy_version: int | None = None
    """Version of the weights that spoke; null when the endpoint does not say."""
    started_at: int
    """Nanoseconds since the epoch, writer's clock."""
    latency: float
    """Seconds from the request's arrival to the last byte of the answer."""
    first_token: float | None = None
    """Seconds to the first piece of a streamed answer; null when it was not streamed, or nothing came."""
    tries: tuple[str, ...] = ()
    """Why each try before the last one failed: a call that was tried three times is one call."""
    retry_of: str | None = None
    """The call that failed before, when it was the client that tried again: then each try is a fact of its own."""
    requests: int = 1
    """Requests that left the gateway for it: what a budget counts, each try among them. 0 when none left, or when the
    call went past the gateway; 1 of logs before this."""
    place: str | None = None
    """Where in the agent's program it was asked: the tasks that lead there, each by its name and its number among those
    that its maker gave that name, and which call of the last one it was, `solve0.ask2:1`. Null where that is a matter
    of chance, and of logs before this."""
    replay_of: str | None = None
    """The recorded call, of another log, that it was answered from; null of one that a model answered."""


@event("capture.lost", schema=1)
class CaptureLost(Event):
    """Something was seen and could not be kept."""

    count: int
    where: str
    why: str
