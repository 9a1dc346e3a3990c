"""Where CrewAI is listened to: its event bus, and the methods that an agent's work begins and ends in."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from agl_core.tap import Patch
from agl_crewai._heard import hear, within

__all__ = ["Listening"]

_EVENTS = {
    "agent_events.AgentExecutionStartedEvent": ("agent_execution_started", {"agent", "tools"}),
    "agent_events.LiteAgentExecutionStartedEvent": ("lite_agent_execution_started", {"agent_info", "tools"}),
    "crew_events.CrewKickoffStartedEvent": ("crew_kickoff_started", {"crew_name", "inputs"}),
    "flow_events.FlowStartedEvent": ("flow_started", {"flow_name", "inputs"}),
    "flow_events.MethodExecutionStartedEvent": ("method_execution_started", {"method_name", "params"}),
    "task_events.TaskStartedEvent": ("task_started", {"task"}),
    "tool_usage_events.ToolUsageErrorEvent": ("tool_usage_error", {"error"}),
    "tool_usage_events.ToolUsageFinishedEvent": ("tool_usage_finished", {"output"}),
    "tool_usage_events.ToolUsageStartedEvent": ("tool_usage_started", {"tool_name", "tool_args"}),
}
"""What is counted on: the type of an event by its class, and what it must tell."""
_WORK = {
    "Agent": ("execute_task", "aexecute_task", "kickoff", "kickoff_async"),
    "Crew": ("kickoff", "akickoff"),
    "Flow": ("kickoff_async",),
    "Task": ("execute_sync", "aexecute_sync"),
}


_Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


class Listening:
    """Hears every event in the context that it is emitted in, before the handlers of the bus have it in threads.

    Not by a handler: those are called later and elsewhere, and cannot set a name for what comes next.
    """

    def __init__(self, crewai: ModuleType) -> None:
        """Nothing is patched yet."""
        self._crewai = crewai
        self._bus = import_module("crewai.events.event_bus").crewai_event_bus
        self._patches: list[Patch] = []
        self._probe: object | None = None
        self._is_on = False

    def start(self) -> None:
        """Listen. Raises where CrewAI is not as it is in the versions that this is written for, and leaves no mark."""
        _check()
        owners: list[tuple[type, str, _Wrap]] = [(type(self._bus), "emit", self._heard)]
        for kind, names in _WORK.items():
            bounded = functools.partial(_bounded, is_agents=kind == "Agent")
            owners += [(getattr(self._crewai, kind), name, bounded) for name in names]
        try:
            for owner, name, wrap in owners:
                patch = Patch(_owner(owner, name), name, wrap)
                patch.apply()
                self._patches.append(patch)
            self._is_on = True
            self._prove()
        except Exception:
            self.stop()
            raise

    def stop(self) -> None:
        """Hear no more: every name is the object that it was."""
        self._is_on = False
        while self._patches:
            self._patches.pop().undo()

    def _heard(self, emit: Callable[..., Any]) -> Callable[..., Any]:
        inspect.signature(emit).bind(self._bus, None, event=None)

        @functools.wraps(emit)
        def emitted(bus: Any, source: Any, event: Any, *rest: Any, **more: Any) -> Any:
            if event is self._probe is not None:
                self._probe = None
                return None
            if self._is_on:
                hear(source, event)
            return emit(bus, source, event, *rest, **more)

        return emitted

    def _prove(self) -> None:
        """What is emitted comes by; the probe goes no further, so that nobody's handlers and counters know of it."""
        self._probe = object()
        self._bus.emit(None, event=self._probe)
        if self._probe is not None:
            raise TypeError("its event bus emits past `CrewAIEventsBus.emit`")


def _check() -> None:
    for path, (kind, told) in _EVENTS.items():
        module, _, name = path.partition(".")
        fields = getattr(import_module(f"crewai.events.types.{module}"), name).model_fields
        if missing := told - fields.keys():
            raise TypeError(f"its {name} has no {', '.join(sorted(missing))}")
        if fields["type"].default != kind:
            raise TypeError(f"its {name} is called {fields['type'].default!r}, not {kind!r}")


def _owner(kind: type, name: str) -> type:
    """The class that has it: CrewAI moves things between a class and those it is made of."""
    for owner in kind.__mro__:
        if name in vars(owner):
            return owner
    raise TypeError(f"its {kind.__name__}.{name} is gone")


def _bounded(work: Callable[..., Any], *, is_agents: bool) -> Callable[..., Any]:
    """The same; what begins in it ends with it, and so does a name: not every error has an event."""

    def role(worker: Any) -> Any:
        return worker.role if is_agents else None  # a flow of the user's may have a role of its own

    if inspect.iscoroutinefunction(work):

        @functools.wraps(work)
        async def awaited(self: Any, *args: Any, **kwargs: Any) -> Any:
            with within(role(self)):
                return await work(self, *args, **kwargs)

        return awaited

    @functools.wraps(work)
    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        with within(role(self)):
            return work(self, *args, **kwargs)

    return called
