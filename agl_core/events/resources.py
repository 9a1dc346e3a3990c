"""Resources: what an agent is given, in versions that never change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agl_core.events._base import Event, event

__all__ = ["ResourcesPromoted", "ResourcesPublished"]


@event("resources.published", schema=1)
class ResourcesPublished(Event):
    """A new immutable bundle of named resources came out."""

    resources_id: str
    version: int
    """1 for the first of its id."""
    resources: Mapping[str, Mapping[str, Any]]
    """Name to resource, as `agl_core.resources` writes them; API keys are never among them."""
    parent: str | None = None
    """`id@version` of the bundle it was derived from."""
    why: str = ""
    run_id: str | None = None


@event("resources.promoted", schema=1)
class ResourcesPromoted(Event):
    """A bundle was declared the best so far; the last one declared is what counts."""

    resources_id: str
    version: int
    why: str = ""
    run_id: str | None = None
    by: str = ""
    """Which person; empty when an algorithm did."""
