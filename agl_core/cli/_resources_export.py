"""A version as a file: a prompt as it stands, or all of the version with its lineage and its evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agl_core.cli._logs import find, open_log
from agl_core.cli._resources_meant import meant, named
from agl_core.errors import BadValue, ExportExists, ExportRefused, UnknownName

if TYPE_CHECKING:
    from agl_core.log import SqliteLog
    from agl_core.resources import PromptTemplate, ResourcesUpdate

__all__ = ["export"]

_TEXT = (".txt", ".md", ".j2", ".jinja", ".jinja2", ".prompt")
_JINJA = (".j2", ".jinja", ".jinja2")


def export(
    given: str, to: Path, *, name: str | None, policy: str | None, force: bool, at: str | None, log_path: str | None
) -> dict[str, Any]:
    """Write it, whole or not at all: what was written where, and what is to be known of it."""
    if to.exists() and not force and not (to.is_dir() and not any(to.iterdir())):
        raise ExportExists(str(to))
    if policy is not None and name is not None:
        raise BadValue("--name", name, why="with --policy no prompt is written: leave one of the two out")
    with open_log(log_path, at=at) as log:
        if policy is not None:
            from agl_core.cli._resources_weights import export_weights

            return export_weights(log, find(log, "run", given), policy, to)
        return _export(log, meant(log, given), to, name)


def _export(log: SqliteLog, bundle: ResourcesUpdate, to: Path, name: str | None) -> dict[str, Any]:
    if to.suffix not in {*_TEXT, ".json"}:
        cure = f"Give it a name that ends in {', '.join(_TEXT)} for a prompt, in .json for all of it"
        raise ExportRefused(str(to), why="its suffix is none of a prompt", cure=cure)
    if to.is_dir():
        raise ExportRefused(str(to), why="it is a folder", cure="Name a file")
    told = {"resources_id": bundle.resources_id, "version": bundle.version, "path": str(to)}
    if to.suffix == ".json":
        _write(to, (json.dumps(_whole(log, bundle, name), ensure_ascii=False, indent=2) + "\n").encode())
        return {**told, "what": named(bundle), "notes": []}
    name, prompt = _one_prompt(bundle, name)
    _write(to, prompt.template.encode())
    notes = []
    if (to.suffix in _JINJA) != (prompt.engine == "jinja"):
        notes.append(f"{name} is a template of {prompt.engine}: PromptTemplate(template=..., engine={prompt.engine!r})")
    return {**told, "name": name, "engine": prompt.engine, "what": f"{name} of {named(bundle)}", "notes": notes}


def _one_prompt(bundle: ResourcesUpdate, name: str | None) -> tuple[str, PromptTemplate]:
    """The prompt of that name; the only one, when none is said."""
    from agl_core.resources import PromptTemplate

    prompts = {key: one for key, one in bundle.resources.items() if isinstance(one, PromptTemplate)}
    if name is None and len(prompts) == 1:
        name = next(iter(prompts))
    if name is None:
        why = f"it has {', '.join(sorted(prompts))}: name one with --name, or write them all to a .json"
        raise BadValue("version", named(bundle), why=why if prompts else "it has no prompt: write it to a .json")
    if name not in prompts:
        raise UnknownName("prompt", name, known=prompts)
    return name, prompts[name]


def _whole(log: SqliteLog, bundle: ResourcesUpdate, name: str | None) -> dict[str, Any]:
    """What `agl resources show --json` says but for the rollouts one by one; each version of the lineage whole."""
    from agl_core.cli._resources_told import told
    from agl_core.resources import dump
    from agl_core.store import Queries

    found = told(log, bundle)
    del found["rollouts"]
    if name is not None:
        if name not in found["resources"]:
            raise UnknownName("resource", name, known=found["resources"])
        for part in ("resources", "placeholders"):
            found[part] = {key: one for key, one in found[part].items() if key == name}
    chain = Queries(log).lineage(bundle)
    for story, one in zip(found["lineage"], chain, strict=True):
        story["resources"] = {key: dump(each) for key, each in one.resources.items() if name in {None, key}}
    return found


def _write(to: Path, content: bytes) -> None:
    from agl_core.export.rows import new_file

    with new_file(to) as file:
        file.write(content)
