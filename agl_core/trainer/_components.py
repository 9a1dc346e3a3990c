"""A component by whatever it is given as: instance, class, factory, import path, registry name, dict, or nothing."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from agl_core.agents import FunctionalLitAgent, LitAgent, find_agent, import_path
from agl_core.errors import BadValue, RunNotImportable, UnknownName
from agl_core.events import Component
from agl_core.plugins import Plugins

__all__ = [
    "actor_of",
    "agent_component",
    "algorithm_component",
    "build_component",
    "find_agent",
    "found_again",
    "import_path",
    "recorded_algorithm",
]


def build_component(spec: Any, *, kind: str, find: Callable[[str], Any] | None = None, **defaults: Any) -> Any:
    """The component that `spec` means; `defaults` are handed to constructors that take them.

    A string is an import path (`module:name` or `module.name`) or a name that `find` knows. A dict has `"type"`
    (an import path) or `"name"` (for `find`), and arguments.
    """
    match spec:
        case None:
            return None
        case str():
            return build_component(_named(spec, kind, find), kind=kind, **defaults)
        case Mapping():
            arguments = dict(spec)
            name = arguments.pop("type", None) or arguments.pop("name", None)
            if not isinstance(name, str):
                raise BadValue(kind, dict(spec), why='a dict needs "type" (an import path) or "name" (a registry name)')
            return _made(_named(name, kind, find), kind, {**defaults, **arguments}, required=set(arguments))
        case type():
            return _made(spec, kind, defaults, required=set())
        case _ if inspect.isfunction(spec) and not inspect.signature(spec).parameters:
            return spec()
    return spec


def _named(name: str, kind: str, find: Callable[[str], Any] | None) -> Any:
    if ":" in name or "." in name:
        return import_path(name)
    if find is None:
        raise UnknownName(kind, name, cure="An import path has a colon: `module:name`")
    return find(name)


def _made(factory: Any, kind: str, arguments: Mapping[str, Any], *, required: set[str]) -> Any:
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        parameters = {}  # type: ignore[assignment]  # a builtin without a signature takes what it is told
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    given = {name: value for name, value in arguments.items() if name in required or name in parameters}
    unknown = [name for name in required if name not in parameters and not takes_all]
    if unknown:
        raise BadValue(kind, unknown, why=f"{getattr(factory, '__name__', factory)} takes {', '.join(parameters)}")
    return factory(**given)


# --- how to find them again


def agent_component(agent: LitAgent[Any]) -> Component:
    """How a resume will find the agent."""
    return found_again(agent if isinstance(agent, FunctionalLitAgent) else type(agent), {})


def algorithm_component(algorithm: Any, plugins: Plugins) -> Component:
    """How a resume will find the algorithm, and make it as it was."""
    config = getattr(algorithm, "config", None)
    fields = asdict(config) if is_dataclass(config) and not isinstance(config, type) else {}
    for name, cls in plugins.algorithms().items():
        if type(algorithm) is cls:
            return Component(name=name, version=_version(cls), config=fields)
    target = algorithm if inspect.isfunction(getattr(algorithm, "__wrapped__", None)) else type(algorithm)
    return found_again(target, fields)


def actor_of(algorithm: Any, plugins: Plugins) -> str:
    """What the facts of its movements bear: its name, with its version."""
    component = algorithm_component(algorithm, plugins)
    return f"{component.name} {component.version or ''}".rstrip()


def recorded_algorithm(component: Component, plugins: Plugins) -> Any:
    """The algorithm that a log names, as it was configured; raises `RunNotImportable`."""
    if not component.importable:
        raise RunNotImportable(component.name, why=component.why)
    found = _named(component.name, "algorithm", plugins.algorithm)
    if not isinstance(found, type):  # a function, which is what it is
        return found
    return build_component({"name": component.name, **component.config}, kind="algorithm", find=plugins.algorithm)


def found_again(target: Any, config: dict[str, Any], *, version: str | None = None) -> Component:
    """How a resume will find a class or a function, which says of itself by what name it can be imported."""
    path = f"{target.__module__}:{target.__qualname__}"
    version = _version(target) if version is None else version
    try:
        if path.startswith("__main__:"):
            raise RunNotImportable(path, why="it is defined in the program that was started")
        if import_path(path) is not target:
            raise RunNotImportable(path, why="that name means something else")
    except RunNotImportable as error:
        return Component(name=path, version=version, config=config, importable=False, why=str(error.facts["why"]))
    return Component(name=path, version=version, config=config)


def _version(target: Any) -> str | None:
    return getattr(sys.modules.get(target.__module__.partition(".")[0]), "__version__", None)
