"""The tracer as its users hold it: put in once per process, for as long as anybody wants it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import ModuleType

from agl_autogen import _chat, _runtime, _tools
from agl_autogen._heard import Hearing
from agl_autogen._places import Place, Places
from agl_core.recorder import Recorder
from agl_core.tap import Attaching

__all__ = ["TESTED", "attaching", "tracing"]

TESTED = ("0.7.1", "0.7.5")
"""The oldest and the newest of AutoGen's packages, which are released together; the plugin's README names them too."""
_CORE = "autogen_core"
_PACKAGES = ("autogen-core", "autogen-agentchat", "autogen-ext")
_PLACES: Mapping[str, Callable[[ModuleType, Hearing], list[Place]]] = {
    _CORE: _runtime.places,
    "autogen_core.tools": _tools.places,
    "autogen_agentchat.agents": _chat.places_of_agents,
    "autogen_agentchat.teams": _chat.places_of_teams,
    "autogen_ext.tools.mcp": _tools.places_of_mcp,
}
"""By the module that has the classes."""


def tracing(recorder: Recorder) -> AbstractContextManager[None]:
    """While it lasts, what AutoGen's agents do in an attempt is recorded as spans of that attempt.

    It may be entered again, in any thread: the first one in attaches, the last one out puts every method back. What is
    imported meanwhile is attached to then. `recorder` hears when AutoGen is. One that is there and of another shape
    is `TracerFailed`.
    """
    return _of_this_process().tracing(recorder)


@functools.cache
def _of_this_process() -> Attaching:
    return attaching()


def attaching() -> Attaching:
    """The places of every module, heard while somebody is inside."""
    hearing = Hearing()

    def part(name: str) -> Callable[[ModuleType], Places]:
        return lambda module: Places(_PLACES[name](module, hearing), hearing)

    return Attaching(
        "autogen",
        {name: part(name) for name in _PLACES},
        of={_CORE: _PACKAGES},
        tested=dict.fromkeys(_PACKAGES, TESTED),
    )
