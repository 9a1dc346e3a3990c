"""Judges and reactions on the command line: `numeric:expected=answer,tolerance=0.01`, and what the options are of."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agl_core.cli._code import find_named
from agl_core.errors import BadValue

if TYPE_CHECKING:
    from agl_core.plugins import Plugins

__all__ = ["judge_class", "named_judges", "named_reactions"]

_SPEC = re.compile(r"(?P<name>[\w.-]+(?::[\w.]+)?)(?::(?P<options>\{.*\}|[^:{]*=.*))?", re.DOTALL)
_COMMA = re.compile(r",(?=[\w-]+=)")
"""Between options; one in a value stands before no `name=`."""


def judge_class(plugins: Plugins, name: str) -> Any:
    """By registry name, or `module:name`."""
    return find_named(name, plugins.judge)


def named_judges(given: Sequence[str]) -> list[dict[str, Any]]:
    """`NAME`, `NAME:KEY=VALUE,...` or `NAME:{JSON}`, any number: as a trainer takes them. `as` names the reward."""
    if not given:
        return []
    from agl_core.plugins import Plugins

    plugins = Plugins.load()
    return [_read("--judge", text, lambda name: judge_class(plugins, name), apart=("as",)) for text in given]


def named_reactions(given: Sequence[str]) -> list[dict[str, Any]]:
    """Written in the same way; a reaction's options are all its own."""
    if not given:
        return []
    from agl_core.plugins import Plugins

    plugins = Plugins.load()
    return [_read("--react", text, lambda name: find_named(name, plugins.reaction)) for text in given]


def _read(option: str, text: str, find: Callable[[str], Any], *, apart: Sequence[str] = ()) -> dict[str, Any]:
    """As a trainer takes it; options that are kept `apart` are not those of the component."""
    from agl_core.cli._configs import configured

    found = _SPEC.fullmatch(text)
    if found is None:
        why = 'write it as NAME, NAME:KEY=VALUE,KEY=VALUE or NAME:{"KEY": VALUE}'
        raise BadValue(option, text, why=why)
    name, said = found["name"], found["options"] or ""
    file, sets = (_object(option, text, said), []) if said.startswith("{") else ({}, _COMMA.split(said) if said else [])
    others = {key: value for key in apart if (value := file.pop(key, None)) is not None}
    others |= {key: value for key, _, value in (one.partition("=") for one in sets) if key in apart}
    sets = [one for one in sets if one.partition("=")[0] not in apart]
    options = configured(find(name), name, file=file, sets=sets, options={})
    return {"name": name, **options, **others}


def _object(option: str, text: str, said: str) -> dict[str, Any]:
    try:
        found = json.loads(said)
    except ValueError as error:
        raise BadValue(option, text, why=f"its options are no JSON: {error}") from None
    assert isinstance(found, Mapping)
    return dict(found)
