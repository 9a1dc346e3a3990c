"""The runs that are under way in attempts, each a fact when it ends. Nothing here raises into the agent."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from agl_core.errors import OutsideAttempt
from agl_core.recorder import Scope, current
from agl_langchain._run import HERE, Run, What
from agl_langchain._told import told

__all__ = ["Hearing", "lost"]

_HIDDEN = "langsmith:hidden"
"""A tag: no tracer is to show the run."""
_KINDS: Mapping[str, What] = {"prompt": "prompt", "parser": "parser"}
"""Chains that say what they are."""


class Hearing:
    """Hears of runs that begin while it is on; of what it has heard begin, it hears the end in any case."""

    def __init__(self) -> None:
        self.is_on = False
        self._runs: dict[tuple[str, UUID], Run] = {}
        """By attempt too: whoever gives ids of their own to runs gives each try of a task the same."""

    def find(self, run_id: UUID | None, scope: Scope) -> Run | None:
        """The run of that id in the attempt of `scope`, if it is heard and under way."""
        return self._runs.get((scope.attempt_id, run_id)) if run_id is not None else None

    def begin(self, what: What, serialized: Any, said: Mapping[str, Any], *, inputs: Any = None) -> None:
        """A run begins, in the context of whoever says so; `said` is what LangChain says of it by name."""
        if not self.is_on:
            return
        try:
            scope = current("a run of LangChain")
        except OutsideAttempt:
            return
        try:
            place = HERE.get()
            parent = self.find(said.get("parent_run_id"), scope)
            if parent is None and place is not None:
                # What it runs in is not said: somebody has set other callbacks, or traces in a way of their own.
                parent = place.node or place.above
            run = Run(
                run_id=said["run_id"],
                scope=scope,
                parent=parent,
                what=_what(what, said),
                name=said.get("name") or _name(serialized) or what,
                metadata=said.get("metadata") or {},
                inputs=inputs,
                tool_call_id=said.get("tool_call_id"),
                agent=scope.agent,
            )
            self._runs[scope.attempt_id, run.run_id] = run
            if place is not None and (run.parent, run.name, run.what) == (place.above, place.name, "chain"):
                place.node, run.what = run, "node"
        except Exception as problem:  # noqa: BLE001 - the rim: the agent works on, whatever becomes of its spans
            lost(scope, problem)

    def end(self, run_id: UUID, *, output: Any = None, error: BaseException | None = None) -> None:
        """It ends, well or not."""
        run = self._taken(run_id)
        if run is None:
            return
        if error is not None and not isinstance(error, Exception):
            # It was called off, and what runs in it with it: of a tool, LangChain does not say so.
            for inner in reversed([other for other in list(self._runs.values()) if run in other.above]):
                self._keep(self._runs.pop((inner.scope.attempt_id, inner.run_id), None), None, error)
        self._keep(run, output, error)

    def _taken(self, run_id: UUID) -> Run | None:
        with suppress(OutsideAttempt):
            return self._runs.pop((current("a run of LangChain").attempt_id, run_id), None)
        # Its end is told in a context of nobody's.
        key = next((key for key in list(self._runs) if key[1] == run_id), None)
        return self._runs.pop(key, None) if key is not None else None

    def _keep(self, run: Run | None, output: Any, error: BaseException | None) -> None:
        if run is None or run.what == "hidden":
            return
        try:
            run.scope.expect(run.scope.recorder.record(told(run, output, error), run.scope))
        except Exception as problem:  # noqa: BLE001 - the rim
            lost(run.scope, problem)


def lost(scope: Scope, problem: Exception) -> None:
    """Something of an attempt could not be kept."""
    scope.lost("agl_langchain", problem, what="a run of LangChain")


def _what(what: What, said: Mapping[str, Any]) -> What:
    if _HIDDEN in (said.get("tags") or ()):
        return "hidden"
    return _KINDS.get(said.get("run_type") or "", what)


def _name(serialized: Any) -> str | None:
    if not isinstance(serialized, Mapping):
        return None
    return serialized.get("name") or next(reversed(serialized.get("id") or ()), None)
