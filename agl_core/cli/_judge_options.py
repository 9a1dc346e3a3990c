"""Judges on the command line: `numeric:expected=answer,tolerance=0.01`, and what the options of one are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agl_core.cli._code import find_named
from agl_core.errors import BadValue

if TYPE_CHECKING:
    from agl_core.plugins import Plugins

__all__ = ["judge_class", "named_judges"]

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
    return [_read(plugins, text) for text in given]


def _read(plugins: Plugins, text: str) -> dict[str, Any]:
    from agl_core.cli._configs import configured

    found = _SPEC.fullmatch(text)
    if found is None:
        why = 'write it as NAME, NAME:KEY=VALUE,KEY=VALUE or NAME:{"KEY": VALUE}'
        raise BadValue("--judge", text, why=why)
    name, said = found["name"], found["options"] or ""
    file, sets = (_object(text, said), []) if said.startswith("{") else ({}, _COMMA.split(said) if said else [])
    named = [one.partition("=")[2] for one in sets if one.startswith("as=")] or [file.pop("as", None)]
    sets = [one for one in sets if not one.startswith("as=")]
    options = configured(judge_class(plugins, name), name, file=file, sets=sets, options={})
    return {"name": name, **options, **({"as": named[-1]} if named[-1] is not None else {})}


def _object(text: str, said: str) -> dict[str, Any]:
    try:
        found = json.loads(said)
    except ValueError as error:
        raise BadValue("--judge", text, why=f"its options are no JSON: {error}") from None
    assert isinstance(found, Mapping)
    return dict(found)
