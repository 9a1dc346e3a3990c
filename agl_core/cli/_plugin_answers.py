"""What `agl plugins why` knows: who is asked and in which order, and what keeps the others from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agl_core.errors import UnknownName
from agl_core.events import PluginFailed
from agl_core.plugins import SPECS, Loaded, Plugins, hook_kind

__all__ = ["answer"]

_HOOKS = {
    "adapter": "agl_register_adapters",
    "algorithm": "agl_register_algorithms",
    "command": "agl_register_commands",
    "dialect": "agl_register_dialects",
    "judge": "agl_register_judges",
    "reaction": "agl_register_reactions",
    "exporter": "agl_register_exporters",
}
_RULES: Mapping[str, str] = {
    "gather": "all of them answer, in this order; where names clash, the later plugin is refused",
    "first answer wins": "they are asked in this order, and the first answer wins",
    "transform": "each is handed what the one before it made, in this order",
    "notify": "all of them are told, in this order; what one raises becomes plugin.failed",
}


def answer(plugins: Plugins, target: str) -> dict[str, Any]:
    """Of a hook, of a plugin, or of what plugins bring under a name, such as `adapter:triplets`."""
    kind, is_thing, name = target.partition(":")
    known = {one.name: one for one in (*plugins.loaded, *plugins.disabled)}
    if is_thing and kind in _HOOKS:
        return _thing(plugins, kind, name, known)
    if target in SPECS:
        return _hook(plugins, target, known)
    if target in known:
        return _plugin(known[target])
    kinds = [f"{kind}:NAME" for kind in _HOOKS]
    cure = f"Ask of a hook, a plugin, or {', '.join(kinds)}"
    raise UnknownName("plugin or hook", target, known=[*known, *SPECS], cure=cure)


def _hook(plugins: Plugins, hook: str, known: Mapping[str, Loaded]) -> dict[str, Any]:
    kind = hook_kind(hook)
    asked = [known[name] for name in plugins.asked(hook) if name in known]
    return {
        "hook": hook,
        "kind": kind,
        "rule": _RULES[kind],
        "asked": [
            {"plugin": one.name, "version": one.version, "distribution": one.distribution} for one in asked
        ],
        "left_out": _left_out(known.values()),
    }  # fmt: skip


def _plugin(plugin: Loaded) -> dict[str, Any]:
    told = {
        "plugin": plugin.name,
        "status": plugin.status,
        "version": plugin.version,
        "distribution": plugin.distribution,
        "load_ms": plugin.load_ms,
        "hooks": list(plugin.hooks),
        "why": _why(plugin),
        "traceback": plugin.traceback,
    }
    return {name: value for name, value in told.items() if value is not None}


def _thing(plugins: Plugins, kind: str, name: str, known: Mapping[str, Loaded]) -> dict[str, Any]:
    problems: list[PluginFailed] = []
    owners = plugins.owners(_HOOKS[kind], problems.append)
    told = [{"plugin": problem.name, "hook": problem.hook, "why": problem.why} for problem in problems]
    overshadowed = None
    if kind == "command":
        from agl_core.cli._main import COMMANDS

        overshadowed = owners.get(name) if name in COMMANDS else None
        owners = {**owners, **dict.fromkeys(COMMANDS, "builtin")}
    if name not in owners:
        error = UnknownName(kind, name, known=owners)
        for problem in told:
            error.add_note(f"plugin {problem['plugin']!r} could not say what it brings: {problem['why']}")
        for one in _left_out(known.values()):
            error.add_note(f"plugin {one['plugin']!r} is not asked: {one['why']}")
        raise error
    found = known[owners[name]]
    return {
        kind: name,
        "plugin": found.name,
        **({"version": found.version} if found.version else {}),
        "distribution": found.distribution,
        "hook": _HOOKS[kind],
        **({"overshadows": f"the {kind} of that name of plugin {overshadowed!r}"} if overshadowed else {}),
        "problems": told,
    }


def _left_out(known: Any) -> Sequence[dict[str, str]]:
    return [{"plugin": one.name, "why": why} for one in known if (why := _why(one)) is not None]


def _why(plugin: Loaded) -> str | None:
    if plugin.error:
        return f"it is broken: {plugin.error}"
    if plugin.disabled_by == "AGL_LOAD_PLUGINS":
        return "AGL_LOAD_PLUGINS names those to load, and not it"
    return f"{plugin.disabled_by} names it" if plugin.disabled_by else None
