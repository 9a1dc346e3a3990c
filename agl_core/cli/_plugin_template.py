"""Begins a plugin: the files of a distribution, from the templates in the wheel."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from agl_core.errors import BadValue
from agl_core.plugins import Plugins

__all__ = ["write"]

_SUFFIX = ".jinja"
_WORDS = {
    *("Adapted", "Any", "Callable", "ClassVar", "Collection", "Draft", "Dropped", "Event", "Exported", "Iterable"),
    *("Iterator", "Mapping", "Message", "Path", "Record", "Row", "Sequence", "Skipped", "Trace", "Verdict"),
}
"""What the templates' own classes are not to be called."""
_PROMISES = "Its promises are the tests of `{}`."
_KINDS: Mapping[str, tuple[str, str, str]] = {
    "adapter": (
        "agl_register_adapters",
        "The adapter `{name}` makes training rows of traces: one for each answer that earned something.",
        f"{_PROMISES.format('AdapterContract')} Change `Row` and `_unfit` to what you train on.",
    ),
    "algorithm": (
        "agl_register_algorithms",
        "The algorithm `{name}`: `agl train module:agent --algorithm {name} --train tasks.jsonl`.",
        f"{_PROMISES.format('AlgorithmContract')} Killed at any movement and resumed, it ends the same.",
    ),
    "command": (
        "agl_register_commands",
        "The command `agl {name}` counts the rollouts of a log by how they ended.",
        "What commands are made of stands in `agl_core.cli.commands`.",
    ),
    "dialect": (
        "agl_register_dialects",
        "The dialect `{name}` says what spans of an instrumentation mean.",
        f"{_PROMISES.format('DialectContract')} Give them spans that the instrumentation really sent.",
    ),
    "engine": (
        "agl_open_engine",
        "The engine behind `{name}:...`, as in `agl train --model policy={name}:abc`.",
        f"{_PROMISES.format('EngineContract')} Put your model in the place of `Letters`, and write streams.",
    ),
    "exporter": (
        "agl_register_exporters",
        "The exporter `{name}` writes rows for another tool: `agl export {name} --out answers.jsonl`.",
        f"{_PROMISES.format('ExporterContract')} Its rows are those of `agl-messages`: install that beside it.",
    ),
    "judge": (
        "agl_register_judges",
        "The judge `{name}` scores rollouts: `agl judge {name}`, or `agl train ... --judge {name}`.",
        f"{_PROMISES.format('JudgeContract')} Say in `_judge.py` what counts, and raise where it cannot be told.",
    ),
    "reaction": (
        "agl_register_reactions",
        "The reaction `{name}` follows a run, and decides by what it logs: `agl train ... --react {name}`.",
        f"{_PROMISES.format('ReactionContract')} Say in `_reaction.py` what it hears, keeps in mind, and decides.",
    ),
    "tracer": (
        "agl_install_tracer",
        "The tracer records what agents and tools of a framework do as spans of the attempt they do it in.",
        f"{_PROMISES.format('TracerContract')} `tests/acme.py` stands in for a framework: put yours in its place.",
    ),
}
"""The hook of each kind, what such a plugin is, and what comes next."""
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TAKEN = {"builtin", "core"}
"""What the core is called, as a plugin and as a distribution."""


def write(name: str, kind: str, *, into: Path) -> tuple[Path, list[str]]:
    """The folder `into/agl-NAME`, and what is in it. All of it is written, or nothing."""
    name = _good(name)
    folder = into / f"agl-{name}"
    if folder.exists():
        raise BadValue("name", name, why=f"{folder} is there already, and nothing is overwritten")
    snake, title = name.replace("-", "_"), "".join(part.capitalize() for part in name.split("-"))
    words = {
        "name": name,
        "module": f"agl_{snake}",
        "snake": snake,
        "title": f"{title}{kind.capitalize()}" if title in _WORDS else title,
        "requires": _requires(version("agl-core")),
    }
    hook, what, further = _KINDS[kind]
    words |= {"kind": kind, "hook": hook, "what": what.format(name=name), "next": further}
    try:
        _written(folder, kind, words)
    except OSError as error:
        raise BadValue("into", str(into), why=f"nothing can be written there: {error.strerror or error}") from None
    return folder, sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _written(folder: Path, kind: str, words: dict[str, str]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place: a rename is whole, or it is not.
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for path, text in _rendered(kind, words):
            target = scratch / path.replace("MODULE", words["module"]).replace("dot.", ".")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
        (scratch / words["module"] / "py.typed").touch()
        scratch.chmod(0o755)
        scratch.rename(folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def _good(name: str) -> str:
    name = name.removeprefix("agl-")
    if not _NAME.fullmatch(name):
        why = "it is small letters and digits, with single hyphens between: my-tracer"
        raise BadValue("name", name, why=why)
    if name in _TAKEN:
        raise BadValue("name", name, why="the core is called so")
    found = Plugins.load(lenient=True)
    if one := next((one for one in (*found.loaded, *found.disabled) if one.name == name), None):
        raise BadValue("name", name, why=f"a plugin of that name is installed, by {one.distribution}")
    return name


def _requires(installed: str) -> str:
    """Versions of the core that keep what this one promises."""
    major, minor = installed.split(".")[:2]
    return f">={major}.{minor},<{major}.{int(minor) + 1}"


def _rendered(kind: str, words: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Path and text of every file: those of all plugins, then those of the kind, which may replace one."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - no HTML
    home = files("agl_core") / "_template"
    for root in (home / "every", home / kind):
        for path, source in _walk(root):
            yield path.removesuffix(_SUFFIX), environment.from_string(source.read_text("utf-8")).render(words)


def _walk(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for one in sorted(folder.iterdir(), key=lambda one: one.name):
        if one.is_dir():
            yield from _walk(one, f"{prefix}{one.name}/")
        elif one.name.endswith(_SUFFIX):
            yield f"{prefix}{one.name}", one
