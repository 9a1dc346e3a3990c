"""What is wrong with a plugin before anything of it is called: refused now, it cannot fail in the middle of a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from agl_core import hookspecs
from agl_core.errors import PluginBroken

__all__ = ["SPECS", "hook_kind", "refuse_faults"]

SPECS: Mapping[str, Callable[..., Any]] = {
    name: function for name, function in vars(hookspecs).items() if hasattr(function, "agl_spec")
}
"""Every hook by its name."""


@dataclass(frozen=True, slots=True)
class _Fault:
    why: str
    hook: str
    argument: str = ""


def refuse_faults(plugin: object, name: str) -> None:
    """`PluginBroken` with everything that is wrong with how `plugin` implements hooks."""
    if inspect.isclass(plugin):
        raise PluginBroken(name, why=f"it is the class {plugin.__name__}: register a module, or an instance of it")
    if faults := list(_faults(plugin)):
        first = faults[0]
        why = "; ".join(fault.why for fault in faults)
        raise PluginBroken(name, why=why, hook=first.hook, argument=first.argument)


def hook_kind(hook: str) -> str:
    """`gather`, `first answer wins`, `transform` or `notify`: the heading that the hook stands under."""
    line = inspect.getsourcelines(SPECS[hook])[1]
    above = inspect.getsource(hookspecs).splitlines()[:line]
    return next(text.removeprefix("# --- ") for text in reversed(above) if text.startswith("# --- "))


def _faults(plugin: object) -> Iterator[_Fault]:
    for attribute in dir(plugin):
        function = getattr(plugin, attribute, None)
        if not inspect.isroutine(function):
            continue
        mark = getattr(function, "agl_impl", None)
        if mark is not None:
            hook = mark.get("specname") or attribute
            yield from _implementation(hook, function, mark)
        elif (attribute in SPECS or attribute.startswith("agl_")) and not hasattr(function, "agl_spec"):
            why = f"{attribute} has no @hookimpl, so nothing would call it"
            yield _Fault(why if attribute in SPECS else f"{why}, and {_unknown(attribute)}", attribute)


def _implementation(hook: str, function: Callable[..., Any], mark: Mapping[str, Any]) -> Iterator[_Fault]:
    if hook not in SPECS:
        if not mark.get("optionalhook"):
            yield _Fault(_unknown(hook), hook)
        return
    if mark.get("wrapper") or mark.get("hookwrapper"):
        yield _Fault(f"{hook} is a wrapper, and no plugin stands around another here", hook)
        return
    spec = inspect.signature(SPECS[hook])
    may_be_awaited = "Awaitable" in str(spec.return_annotation)
    if not may_be_awaited and (inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)):
        yield _Fault(f"{hook} is async, and nobody would await it", hook)
    for parameter in inspect.signature(function).parameters.values():
        if why := _misfit(parameter, list(spec.parameters)):
            yield _Fault(f"{hook}: {why}", hook, parameter.name)


def _misfit(parameter: inspect.Parameter, known: list[str]) -> str | None:
    """Why an argument would not get what it is for; a default for a name of one's own is fine."""
    name, has_default = parameter.name, parameter.default is not parameter.empty
    takes = f"it takes {', '.join(known)}" if known else "it takes none"
    if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
        return f"nothing would go into {parameter}: name the arguments you use; {takes}"
    if name not in known:
        return None if has_default else f"there is no argument {name!r}; {takes}"
    if parameter.kind is parameter.KEYWORD_ONLY:
        return f"the argument {name!r} is by keyword only: take the * before it away"
    return f"the argument {name!r} has a default, and would always be that" if has_default else None


def _unknown(hook: str) -> str:
    near = get_close_matches(hook, SPECS, n=1)
    return f"there is no hook called {hook}" + (f": did you mean {near[0]}?" if near else "")
