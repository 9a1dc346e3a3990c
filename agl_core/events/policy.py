"""Policies: which weights speak under which version, and where they are served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from agl_core.events._base import Event, event
from agl_core.events.call import Role

__all__ = [
    "CheckpointSaved",
    "EndpointRegistered",
    "EndpointRemoved",
    "GatewayPaused",
    "GatewayResumed",
    "PolicyPromoted",
    "PolicyUpdated",
]


@event("policy.updated", schema=1)
class PolicyUpdated(Event):
    """From here on the policy speaks with these weights."""

    run_id: str
    policy: str
    version: int
    checkpoint: str
    """Digest of the checkpoint's manifest."""


@event("policy.promoted", schema=1)
class PolicyPromoted(Event):
    """These weights were declared the best so far; the last ones declared are what counts."""

    run_id: str
    policy: str
    version: int
    checkpoint: str
    """Digest of the checkpoint's manifest."""
    value: float
    """What they were measured to be worth."""
    why: str = ""


@event("checkpoint.saved", schema=1)
class CheckpointSaved(Event):
    """Weights and what training needs to go on were written to disk, and synced."""

    run_id: str
    checkpoint_id: str
    digest: str
    """Hash of the manifest; the folder under `<log>.d/checkpoints/` has its name."""
    files: Mapping[str, str]
    """Name to content hash of each file."""
    bytes: int
    metadata: Mapping[str, Any] = field(default_factory=dict)


@event("endpoint.registered", schema=1)
class EndpointRegistered(Event):
    """The gateway learned where a model is served."""

    model: str
    url: str
    max_len: int | None = None
    token_ids: bool = False
    logprobs_mode: str | None = None
    tools: str | None = None
    """Tool dialect the model speaks."""
    role: Role = "policy"
    """What its calls are; only a policy's become rows."""
    named: str = ""
    """What the model is called there, if that is another name."""
    checkpoint: str | None = None
    """Digest of the weights that are served at first; null of those that others have, and of logs before this."""


@event("endpoint.removed", schema=1)
class EndpointRemoved(Event):
    """The gateway sends nothing there any more."""

    model: str
    url: str


@event("gateway.paused", schema=1)
class GatewayPaused(Event):
    """New calls wait: weights are about to change."""

    model: str


@event("gateway.resumed", schema=1)
class GatewayResumed(Event):
    """Calls flow again."""

    model: str
