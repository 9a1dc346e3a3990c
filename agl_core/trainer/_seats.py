"""Judges by whatever they are given as, and the names of what they give: their seats."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from agl_core.errors import BadValue, RunNotImportable
from agl_core.events import Component
from agl_core.judges import Seat, asks, identity, options
from agl_core.plugins import Plugins
from agl_core.trainer._components import build_component, found_again

__all__ = ["recorded_seats", "seated", "seats_of"]

_log = logging.getLogger(__name__)


def seats_of(plugins: Plugins, given: Any) -> list[Seat]:
    """Who judges, and what the verdicts are called.

    One judge or several, of which one gives `primary` and the others are dicts with `as`; or a mapping of names to
    judges, none of them called `name`. A judge is an instance, a class, a registry name, an import path, or a dict with
    `name` and options.
    """
    if isinstance(given, Mapping) and not isinstance(given.get("name"), str):
        named: list[tuple[str | None, Any]] = list(given.items())
    else:
        several = given if isinstance(given, list | tuple) else [] if given is None else [given]
        named = [_named(spec) for spec in several]
    seats = [Seat(judge=_made(plugins, spec), dimension=name or "primary") for name, spec in named]
    for dimension, count in Counter(seat.dimension for seat in seats).items():
        if count > 1:
            who = ", ".join(identity(seat.judge) for seat in seats if seat.dimension == dimension)
            why = f"{who} would all give {dimension!r}, and one of them would count: name the others with `as`"
            raise BadValue("judges", dimension, why=why)
    return seats


def seated(plugins: Plugins, seats: Iterable[Seat]) -> dict[str, Component]:
    """How a resume will find them: for `run.started`."""
    return {seat.dimension: _component(plugins, seat.judge) for seat in seats}


def recorded_seats(plugins: Plugins, judges: Mapping[str, Component]) -> list[Seat]:
    """The judges that a run began with."""
    for judge in judges.values():
        if not judge.importable:
            raise RunNotImportable(judge.name, why=judge.why)
    seats = seats_of(plugins, {name: {"name": judge.name, **judge.config} for name, judge in judges.items()})
    for seat in seats:
        if (before := judges[seat.dimension].version) != seat.judge.version:
            _log.warning("the run began with version %s of its judge: today it is %s", before, identity(seat.judge))
    return seats


def _named(spec: Any) -> tuple[str | None, Any]:
    if not isinstance(spec, Mapping):
        return None, spec
    others = {key: value for key, value in spec.items() if key != "as"}
    return spec.get("as"), others


def _made(plugins: Plugins, spec: Any) -> Any:
    try:
        judge = build_component(spec, kind="judge", find=plugins.judge)
    except TypeError as error:
        raise BadValue("judge", spec, why=str(error)) from None
    words = [getattr(judge, word, None) for word in ("name", "version")]
    if not callable(judge) or not all(isinstance(word, str) and word.split() == [word] for word in words):
        raise BadValue("judge", spec, why="a judge has a name and a version, each a word, and is called with a trace")
    options(judge)
    if asks(judge) and not isinstance(getattr(judge, "model", None), str):
        raise BadValue("judge", spec, why="it takes `ask`, and does not say in `model` whom it asks")
    return judge


def _component(plugins: Plugins, judge: Any) -> Component:
    kind = type(judge)
    config, version = options(judge), str(judge.version)
    if plugins.judges().get(judge.name) is kind:
        return Component(name=judge.name, version=version, config=config)
    return found_again(kind, config, version=version)
