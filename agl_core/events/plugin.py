"""The machinery's own facts: plugins, tracers, workers, notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from agl_core.events._base import Event, event

__all__ = ["BlobsErased", "NoteTaken", "PluginFailed", "PluginLoaded", "TracerAttached", "WorkerJoined", "WorkerLeft"]


@event("plugin.loaded", schema=1)
class PluginLoaded(Event):
    """A plugin took part from here on."""

    name: str
    version: str | None = None


@event("plugin.failed", schema=1)
class PluginFailed(Event):
    """A guest raised, or could not be loaded; the work went on without it."""

    name: str
    hook: str | None = None
    why: str


@event("tracer.attached", schema=1)
class TracerAttached(Event):
    """A tracer proved that it sees what it promised to see."""

    name: str
    package: str | None = None
    version: str | None = None


@event("worker.joined", schema=1)
class WorkerJoined(Event):
    """A worker is ready to take rollouts."""

    worker_id: str
    host: str
    pid: int


@event("worker.left", schema=1)
class WorkerLeft(Event):
    """A worker takes no more."""

    worker_id: str
    why: str = ""


@event("blobs.erased", schema=1)
class BlobsErased(Event):
    """Big values were removed on purpose; `verify` does not miss them."""

    ids: tuple[str, ...]
    why: str


@event("note.taken", schema=1)
class NoteTaken(Event):
    """A person, or a plugin, wanted this remembered."""

    text: str
    data: Mapping[str, Any] = field(default_factory=dict)
