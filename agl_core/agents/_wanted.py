"""What a function wants to be given, by the names and the types of its parameters; refused before anything runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, get_type_hints

from agl_core.errors import BadValue, UnknownName
from agl_core.resources import LLM, NamedResources, PromptTemplate, Resource
from agl_core.store import Rollout

__all__ = ["Wanted", "is_async", "wanted"]

_BY_NAME: Mapping[str, type[Resource]] = {"llm": LLM, "prompt_template": PromptTemplate}
_MISSING = object()


@dataclass(frozen=True, slots=True)
class _Want:
    kind: type
    is_needed: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a function is called with beside the task."""

    by_parameter: Mapping[str, _Want]
    is_by_name: bool
    """Whether the task is passed by its name, too."""

    def of(self, resources: NamedResources, rollout: Rollout) -> dict[str, Any]:
        """What there is of it; `UnknownName` for what is needed and is not there."""
        found = {name: self._found(name, want, resources, rollout) for name, want in self.by_parameter.items()}
        return {name: value for name, value in found.items() if value is not _MISSING}

    def needs(self, kind: type[Resource]) -> bool:
        """Whether it cannot be called without a resource of that kind."""
        return any(want.is_needed and issubclass(want.kind, kind) for want in self.by_parameter.values())

    def _found(self, name: str, want: _Want, resources: NamedResources, rollout: Rollout) -> Any:
        if want.kind is Rollout:
            return rollout
        try:
            return _resource(name, want.kind, resources)
        except UnknownName:
            if want.is_needed:
                raise
            return _MISSING


def is_async(fn: Callable[..., Any]) -> bool:
    """Whether calling it gives something to await: also of a partial, a method, an object with an async `__call__`."""
    inner = fn.func if isinstance(fn, functools.partial) else fn
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(_call_of(inner))


def wanted(fn: Callable[..., Any], *, needs: str | None = None) -> Wanted:
    """By parameter, what it is given; `BadValue`, with the function's name and the cure, for one that is no agent."""
    _check(fn)
    name = _name(fn)
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError) as error:
        raise BadValue("agent", name, why=f"its parameters cannot be read ({error}): wrap it in a function") from None
    if parameters and parameters[0].name in {"self", "cls"}:
        raise BadValue("agent", name, why="it is a method without its object: write `agl.rollout(made.method)`")
    if not parameters or parameters[0].name != "task":
        raise BadValue("agent", name, why="its first parameter must be called `task`: write `def agent(task, ...)`")
    hints = _hints(fn)
    fixed = fn.keywords if isinstance(fn, functools.partial) else {}
    wants: dict[str, _Want] = {}
    for parameter in parameters[1:]:
        if parameter.name in fixed or parameter.kind in {Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL}:
            continue
        if parameter.kind is Parameter.POSITIONAL_ONLY:
            raise BadValue("agent", name, why=f"{parameter.name!r} is found by its name: move it behind the `/`")
        wants[parameter.name] = _Want(
            _kind(parameter.name, hints.get(parameter.name)), parameter.default is Parameter.empty
        )
    if needs is not None and needs not in wants and needs not in fixed:
        raise BadValue("agent", name, why=f"it does not take {needs!r}: add the parameter, or use `@agl.rollout`")
    return Wanted(wants, is_by_name=parameters[0].kind is Parameter.KEYWORD_ONLY)


def _check(fn: Any) -> None:
    if inspect.isclass(fn):
        raise BadValue("agent", _name(fn), why="it is a class: let it be an `agl.LitAgent`, with a `rollout` method")
    if not callable(fn):
        raise BadValue("agent", fn, why="it is no function; decorate one that takes `task`")
    inner = fn.func if isinstance(fn, functools.partial) else fn
    for one in (inner, _call_of(inner)):
        if inspect.isgeneratorfunction(one) or inspect.isasyncgenfunction(one):
            raise BadValue(
                "agent", _name(fn), why="it yields, and an agent returns once: emit with `agl.emit_reward`, or return"
            )


def _call_of(fn: Any) -> Any:
    return getattr(type(fn), "__call__", None)  # noqa: B004 - what it is, not whether it is there


def _hints(fn: Any) -> dict[str, Any]:
    inner = fn.func if isinstance(fn, functools.partial) else fn
    hinted = inner if inspect.isroutine(inner) else _call_of(inner)
    try:
        return get_type_hints(hinted)
    except (NameError, TypeError, AttributeError):
        return {}  # annotations that do not resolve say nothing; names still do


def _kind(name: str, hint: Any) -> type:
    if name == "rollout":
        return Rollout
    by_hint = hint if isinstance(hint, type) and issubclass(hint, Resource) else Resource
    return _BY_NAME.get(name, by_hint)


def _resource(name: str, kind: type, resources: NamedResources) -> Resource:
    """By name first, then by type when only one has it."""
    named = resources.get(name)
    if named is not None and isinstance(named, kind):
        return named
    typed = [resource for resource in resources.values() if isinstance(resource, kind)]
    if len(typed) == 1 and kind is not Resource:
        return typed[0]
    cure = (
        "Several have that type: call the parameter as one of them is called"
        if typed
        else "Name a model (`--model policy=URL`, or `Trainer(models={...})`)"
        if kind is LLM
        else "Hand it in: `Trainer(initial_resources={...})`"
    )
    raise UnknownName(f"{kind.__name__} resource", name, known=resources, cure=cure)


def _name(fn: Any) -> str:
    inner = fn.func if isinstance(fn, functools.partial) else fn
    return str(getattr(inner, "__qualname__", None) or type(inner).__qualname__)
