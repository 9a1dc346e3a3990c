"""What an agent is given: models to ask and prompts to ask with. Agent Lightning's fields, frozen."""

from __future__ import annotations

from agl_core.resources._bundles import NamedResources, ResourcesUpdate, dump, load
from agl_core.resources._kinds import LLM, ProxyLLM, Resource
from agl_core.resources._templates import Differences, PromptTemplate

__all__ = [
    "LLM",
    "Differences",
    "NamedResources",
    "PromptTemplate",
    "ProxyLLM",
    "Resource",
    "ResourcesUpdate",
    "dump",
    "load",
]
