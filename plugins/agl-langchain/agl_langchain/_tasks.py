"""LangGraph's tasks: while a node is at work, what is done in its context bears its agent's name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial, wraps
from inspect import iscoroutinefunction, signature
from types import ModuleType
from typing import Any

from agl_core.errors import OutsideAttempt
from agl_core.recorder import agent, current
from agl_langchain._hearing import Hearing, lost
from agl_langchain._naming import begun
from agl_langchain._run import HERE, Place

__all__ = ["Tasks"]

_FIELDS = frozenset({"name", "config", "proc"})


class Tasks:
    """Around each task of a graph, the name of who does it.

    Around tasks and not in callbacks: some of those run in a copy of the context, and none sees the end of the work in
    the context where it began. A task is called and returns, streamed or not, so that no name is left behind.
    """

    MODULE = "langgraph.pregel._runner"

    def __init__(self, module: ModuleType, hearing: Hearing) -> None:
        """Not put in yet; `module` is the one of that name."""
        self._module, self._hearing = module, hearing
        self._originals: dict[str, Any] = {}
        self._ours: dict[str, Any] = {}

    def start(self) -> None:
        """Stand around. Raises where LangGraph does not run tasks as it does in the versions this is written for."""
        run, arun = self._module.run_with_retry, self._module.arun_with_retry
        task = self._module.PregelExecutableTask
        first = {next(iter(signature(function).parameters), None) for function in (run, arun)}
        if first != {"task"} or not iscoroutinefunction(arun) or not set(task.__dataclass_fields__) >= _FIELDS:
            raise TypeError("its tasks are not what they were")
        self._put("run_with_retry", run, self._around(run))
        self._put("arun_with_retry", arun, self._around_async(arun))
        self._hearing.is_on = True

    def stop(self) -> None:
        """Stand around no more."""
        self._hearing.is_on = False
        for name, original in self._originals.items():
            # Whoever has put theirs over ours calls ours, which does nothing any more.
            if getattr(self._module, name) is self._ours[name]:
                setattr(self._module, name, original)

    def _put(self, name: str, original: Any, ours: Any) -> None:
        self._originals[name], self._ours[name] = original, ours
        setattr(self._module, name, ours)

    def _around(self, run: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(run)
        def running(task: Any, *args: Any, **kwargs: Any) -> Any:
            with self._at_work(task):
                return run(task, *args, **kwargs)

        return running

    def _around_async(self, run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(run)
        async def running(task: Any, *args: Any, **kwargs: Any) -> Any:
            with self._at_work(task):
                return await run(task, *args, **kwargs)

        return running

    @contextmanager
    def _at_work(self, task: Any) -> Iterator[None]:
        leave = self._enter(task) if self._hearing.is_on else ()
        try:
            yield
        finally:
            for taking_back in leave:
                # One that is called off may end in another context than it began in, which takes it all along.
                with suppress(ValueError, RuntimeError):
                    taking_back()

    def _enter(self, task: Any) -> tuple[Callable[[], object], ...]:
        """Set the context, and say how to set it back."""
        try:
            scope = current("a task of LangGraph")
        except OutsideAttempt:
            return ()
        above = self._hearing.find(getattr(task.config.get("callbacks"), "parent_run_id", None), scope)
        if above is None:
            return ()
        try:
            name = begun(above, task)
            naming = ExitStack()
            if name is not None:
                naming.enter_context(agent(name))
        except Exception as problem:  # noqa: BLE001 - the rim: the agent works on, whoever it is
            lost(scope, problem)
            return ()
        token = HERE.set(Place(above, str(task.name)))
        return partial(HERE.reset, token), naming.close
