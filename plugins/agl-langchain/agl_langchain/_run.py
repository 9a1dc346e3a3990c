"""A run of LangChain's: a chain, a graph, a node, a tool, a retriever, at work in an attempt."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from agl_core.ids import new_id
from agl_core.recorder import Scope

__all__ = ["HERE", "Place", "Run", "What"]

What = Literal["chain", "graph", "node", "tool", "retriever", "prompt", "parser", "hidden"]


@dataclass(slots=True, kw_only=True, eq=False)
class Run:
    """What is known of it while it runs."""

    run_id: UUID
    """LangChain's."""
    scope: Scope
    parent: Run | None
    """What it runs in."""
    what: What
    """A graph is known to be one when its first node begins, and is a chain until then."""
    name: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    inputs: Any = None
    """What a tool or a retriever was given."""
    tool_call_id: str | None = None
    span_id: str = field(default_factory=lambda: new_id("sp"))
    started_at: int = field(default_factory=time.time_ns)
    agent: str | None = None
    """Whose work it is."""
    is_agents: bool = False
    """Of a graph: whether LangChain made it for an agent, its nodes too."""
    is_agent: bool = False
    """Of a graph: whether it has a name to itself, so that `agent` is who it is."""

    @property
    def above(self) -> Iterator[Run]:
        """All that it runs in, the innermost first."""
        run = self.parent
        while run is not None:
            yield run
            run = run.parent


@dataclass(slots=True, eq=False)
class Place:
    """A node of a graph, at work; or a function that one calls as a task of its own."""

    above: Run
    """The graph, or what the function is called in."""
    name: str
    node: Run | None = None
    """Its run, once that has begun."""


HERE: ContextVar[Place | None] = ContextVar("agl_langchain_place", default=None)
"""The node whose work is done here."""
