"""What is wrong with a plugin, or missing."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from agl_core.errors._base import AglError

__all__ = [
    "MissingExtra",
    "PluginBroken",
    "PluginError",
    "TracerFailed",
    "UnknownName",
]


class PluginError(AglError):
    """A plugin is missing, broken, or misused."""

    code = "PLUGIN_ERROR"


class MissingExtra(PluginError):
    """An optional dependency is not installed."""

    code = "MISSING_EXTRA"

    def __init__(self, module: str, *, install: str) -> None:
        super().__init__(f"{module} is not installed: run `{install}`", module=module, install=install)


class PluginBroken(PluginError):
    """A plugin that was required could not be loaded, implements a hook wrongly, or raised where it was needed."""

    code = "PLUGIN_BROKEN"

    def __init__(self, plugin: str, *, why: str, hook: str = "", argument: str = "", cure: str = "") -> None:
        cure = cure or f"Mend it, or go on without it: AGL_DISABLE_PLUGINS={plugin}"
        stop = "" if why.endswith((".", "?", "!")) else "."
        super().__init__(
            f"plugin {plugin!r} is broken: {why}{stop} {cure}. `agl plugins why {plugin}` tells more",
            plugin=plugin,
            why=why,
            hook=hook,
            argument=argument,
        )


class UnknownName(PluginError):
    """No component goes by that name."""

    code = "UNKNOWN_NAME"

    def __init__(self, kind: str, name: str, *, known: Iterable[str] = (), cure: str = "") -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=1)
        known_ones = f"known: {', '.join(names) or 'none'}" + (f". {cure}" if cure else "")
        hint = f"did you mean {near[0]!r}?" if near else known_ones
        super().__init__(f"no {kind} is called {name!r}; {hint}", kind=kind, name=name, known=names)


class TracerFailed(PluginError):
    """A tracer cannot attach to what it should see: the run would end with nothing captured."""

    code = "TRACER_FAILED"

    def __init__(self, tracer: str, *, why: str) -> None:
        super().__init__(
            f"tracer {tracer!r} cannot attach ({why}), and what it should see would be missing. Install a version that "
            'it knows, or go on without it: Trainer(on_tracer_error="warn"), or AGL_ON_TRACER_ERROR=warn',
            tracer=tracer,
            why=why,
        )
