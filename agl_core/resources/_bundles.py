"""Bundles: resources under names, in versions, and how the log keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agl_core.errors import BadValue
from agl_core.resources._kinds import LLM, ProxyLLM, Resource
from agl_core.resources._templates import PromptTemplate

__all__ = ["NamedResources", "ResourcesUpdate", "dump", "load"]

NamedResources = Mapping[str, Resource]
"""Name to resource, as an agent receives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcesUpdate:
    """One version of a bundle, as it was published."""

    resources_id: str
    version: int
    create_time: float
    """Seconds since the epoch."""
    update_time: float
    resources: NamedResources
    parent: str | None = None
    why: str = ""


_KINDS: Mapping[str, type[LLM | PromptTemplate]] = {
    kind.resource_type: kind for kind in (LLM, ProxyLLM, PromptTemplate)
}


def dump(resource: Resource) -> dict[str, Any]:
    """The resource as the log keeps it; without its API key."""
    match resource:
        case LLM():
            return {
                "resource_type": resource.resource_type,
                "endpoint": resource.endpoint,
                "model": resource.model,
                "sampling_parameters": dict(resource.sampling_parameters),
            }
        case PromptTemplate():
            return {"resource_type": "prompt_template", "template": resource.template, "engine": resource.engine}
    raise BadValue("resource", resource, why=f"a resource is one of {', '.join(sorted(_KINDS))}")


def load(data: Mapping[str, Any], *, api_key: str | None = None) -> Resource:
    """The resource that `dump` wrote, with a key from elsewhere if it takes one."""
    fields = dict(data)
    kind = _KINDS.get(fields.pop("resource_type", ""))
    if kind is None:
        raise BadValue("resource_type", data.get("resource_type"), why=f"known are {', '.join(sorted(_KINDS))}")
    made = kind(**fields)
    return replace(made, api_key=api_key) if isinstance(made, LLM) and api_key else made
