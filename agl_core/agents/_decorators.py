"""An agent as a function: what it names among its parameters is what it is given."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from agl_core.agents._litagent import LitAgent, Result
from agl_core.agents._wanted import Wanted, is_async, wanted
from agl_core.errors import BadValue
from agl_core.resources import LLM, NamedResources
from agl_core.store import Rollout

__all__ = ["FunctionalLitAgent", "llm_rollout", "prompt_rollout", "rollout"]

T = TypeVar("T")


def rollout(func: Callable[..., Any]) -> FunctionalLitAgent[Any]:
    """Make an agent of `func(task, ...)`, sync or async: a function, a bound method, a partial, a callable object.

    Beside `task` it may name `llm`, `prompt_template`, `rollout`, or any resource. A resource is found by that
    name, else by its type when only one has it; one that is not there leaves a parameter its default. The result is
    still callable as the function it was.
    """
    return func if isinstance(func, FunctionalLitAgent) else FunctionalLitAgent(func)


@overload
def llm_rollout(func: Callable[..., Any], *, strip_proxy: bool = True) -> FunctionalLitAgent[Any]: ...


@overload
def llm_rollout(
    func: None = None, *, strip_proxy: bool = True
) -> Callable[[Callable[..., Any]], FunctionalLitAgent[Any]]: ...


def llm_rollout(func: Callable[..., Any] | None = None, *, strip_proxy: bool = True) -> Any:  # noqa: ARG001 - v0.3 has it
    """`rollout` for a function that takes `llm`; `strip_proxy` is always so here: agents get their own URL."""
    made = functools.partial(FunctionalLitAgent, needs="llm")
    return made(func) if func is not None else made


@overload
def prompt_rollout(func: Callable[..., Any]) -> FunctionalLitAgent[Any]: ...


@overload
def prompt_rollout(func: None = None) -> Callable[[Callable[..., Any]], FunctionalLitAgent[Any]]: ...


def prompt_rollout(func: Callable[..., Any] | None = None) -> Any:
    """`rollout` for a function that takes `prompt_template`."""
    made = functools.partial(FunctionalLitAgent, needs="prompt_template")
    return made(func) if func is not None else made


class FunctionalLitAgent(LitAgent[T], Generic[T]):
    """A function as an agent."""

    def __init__(self, fn: Callable[..., Any], *, needs: str | None = None) -> None:
        self._wants: Wanted = wanted(fn, needs=needs)
        self._fn = fn
        self._is_async = is_async(fn)
        functools.update_wrapper(self, fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function itself, untouched."""
        return self._fn(*args, **kwargs)

    @property
    def needs_llm(self) -> bool:
        """Whether the function cannot be called without a model."""
        return self._wants.needs(LLM)

    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return self._is_async

    def rollout(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """Call the function with what it names."""
        result: Result = self._called(task, resources, rollout)
        return result

    async def rollout_async(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """Await the function with what it names."""
        result = self._called(task, resources, rollout)
        if not inspect.isawaitable(result):
            raise BadValue("agent", self._fn, why="it is not async; call `rollout`, or write `async def`")
        awaited: Result = await result
        return awaited

    def _called(self, task: T, resources: NamedResources, rollout: Rollout) -> Any:
        given = self._wants.of(resources, rollout)
        return self._fn(task=task, **given) if self._wants.is_by_name else self._fn(task, **given)
