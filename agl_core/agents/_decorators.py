"""An agent as a function: what it names among its parameters is what it is given."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, TypeVar, get_type_hints

from agl_core.agents._litagent import LitAgent, Result
from agl_core.errors import BadValue, UnknownName
from agl_core.resources import LLM, NamedResources, PromptTemplate, Resource
from agl_core.store import Rollout

__all__ = ["FunctionalLitAgent", "llm_rollout", "prompt_rollout", "rollout"]

T = TypeVar("T")
_BY_NAME: dict[str, type[Resource]] = {"llm": LLM, "prompt_template": PromptTemplate}


def rollout(fn: Callable[..., Any]) -> FunctionalLitAgent[Any]:
    """Make an agent of `fn(task, ...)`, sync or async.

    Beside `task` it may name `llm`, `prompt_template`, `rollout`, or any resource. A resource is found by that
    name, else by its type when only one has it. The result is still callable as the function it was.
    """
    return FunctionalLitAgent(fn)


def llm_rollout(fn: Callable[..., Any] | None = None, *, strip_proxy: bool = True) -> Any:  # noqa: ARG001 - v0.3 has it
    """`rollout` for a function that takes `llm`; `strip_proxy` is always so here: agents get their own URL."""
    return rollout(fn) if fn is not None else rollout


def prompt_rollout(fn: Callable[..., Any] | None = None) -> Any:
    """`rollout` for a function that takes `prompt_template`."""
    return rollout(fn) if fn is not None else rollout


class FunctionalLitAgent(LitAgent[T], Generic[T]):
    """A function as an agent."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._wants = _wants(fn)
        self._fn = fn
        self._is_async = inspect.iscoroutinefunction(fn)
        functools.update_wrapper(self, fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function itself, untouched."""
        return self._fn(*args, **kwargs)

    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return self._is_async

    def rollout(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """Call the function with what it names."""
        result: Result = self._fn(task, **self._given(resources, rollout))
        return result

    async def rollout_async(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """Await the function with what it names."""
        result: Result = await self._fn(task, **self._given(resources, rollout))
        return result

    def _given(self, resources: NamedResources, rollout: Rollout) -> dict[str, Any]:
        return {
            name: rollout if kind is Rollout else _find(name, kind, resources) for name, kind in self._wants.items()
        }


def _wants(fn: Callable[..., Any]) -> dict[str, type]:
    """Parameter to the type of what it is given."""
    parameters = list(inspect.signature(fn).parameters.values())
    if not parameters or parameters[0].name != "task":
        raise BadValue("agent", getattr(fn, "__qualname__", fn), why="its first parameter must be called `task`")
    try:
        hints = get_type_hints(fn)
    except (NameError, TypeError):
        hints = {}  # annotations that do not resolve say nothing; names still do
    wants: dict[str, type] = {}
    for parameter in parameters[1:]:
        if parameter.name == "rollout":
            wants["rollout"] = Rollout
        elif parameter.kind in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL}:
            continue
        else:
            hint = hints.get(parameter.name)
            by_hint = hint if isinstance(hint, type) and issubclass(hint, Resource) else Resource
            wants[parameter.name] = _BY_NAME.get(parameter.name, by_hint)
    return wants


def _find(name: str, kind: type, resources: NamedResources) -> Resource:
    """By name first, then by type when only one has it."""
    named = resources.get(name)
    if named is not None and isinstance(named, kind):
        return named
    typed = [resource for resource in resources.values() if isinstance(resource, kind)]
    if len(typed) == 1 and kind is not Resource:
        return typed[0]
    raise UnknownName(
        f"{kind.__name__} resource", name, known=resources, cure="(several have that type)" if typed else ""
    )
