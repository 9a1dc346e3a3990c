"""Reactions by whatever they are given as; and how a resume finds them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from agl_core.algorithm import Reaction
from agl_core.algorithm._reaction import options
from agl_core.errors import BadValue, RunNotImportable
from agl_core.events import Component
from agl_core.plugins import Plugins
from agl_core.trainer._components import build_component, found_again

__all__ = ["reactions_of", "recorded", "recorded_reactions"]

_WORDS = ("name", "version")
_DOES = ("begin", "evolve", "decide")
_log = logging.getLogger(__name__)

Reactions = Mapping[str, Reaction[Any]]
"""Name in the run to reaction: the second of a name is `name-2`."""


def reactions_of(plugins: Plugins, given: Any) -> Reactions:
    """One or several; each is an instance, a class, a registry name, an import path, or a dict with `name` and options.

    Raises `BadValue` for what is none.
    """
    several = given if isinstance(given, list | tuple) else [] if given is None else [given]
    found: dict[str, Reaction[Any]] = {}
    names: Counter[str] = Counter()
    for one in several:
        reaction = _made(plugins, one)
        names[reaction.name] += 1
        found[f"{reaction.name}-{count}" if (count := names[reaction.name]) > 1 else reaction.name] = reaction
    return found


def recorded(plugins: Plugins, reactions: Reactions) -> dict[str, Component]:
    """How a resume will find them: for `run.started`."""
    known = plugins.reactions()
    return {
        seat: Component(name=reaction.name, version=reaction.version, config=options(reaction))
        if known.get(reaction.name) is type(reaction)
        else found_again(type(reaction), options(reaction), version=reaction.version)
        for seat, reaction in reactions.items()
    }


def recorded_reactions(plugins: Plugins, reactions: Mapping[str, Component]) -> Reactions:
    """Those that a run began with."""
    found = {}
    for seat, component in reactions.items():
        if not component.importable:
            raise RunNotImportable(component.name, why=component.why)
        found[seat] = reaction = _made(plugins, {"name": component.name, **component.config})
        if component.version != reaction.version:
            _log.warning(
                "the run began with version %s of %s: today it is %s", component.version, seat, reaction.version
            )
    return found


def _made(plugins: Plugins, spec: Any) -> Reaction[Any]:
    try:
        reaction = build_component(spec, kind="reaction", find=plugins.reaction)
    except TypeError as error:
        raise BadValue("reaction", spec, why=str(error)) from None
    words = [getattr(reaction, word, None) for word in _WORDS]
    if not all(isinstance(word, str) and word.split() == [word] for word in words) or "/" in str(words[0]):
        raise BadValue("reaction", spec, why="a reaction has a name and a version, each a word")
    if missing := [name for name in _DOES if not callable(getattr(reaction, name, None))]:
        raise BadValue("reaction", spec, why=f"it has no {', '.join(missing)}")
    options(reaction)
    made: Reaction[Any] = reaction
    return made
