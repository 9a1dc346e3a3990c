"""`agl init`: a project that runs, offline, before anything in it is changed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import click

from agl_core.cli._failing import warn
from agl_core.cli._options import as_json, log_level
from agl_core.cli._tables import print_json

__all__ = ["FRAMEWORKS", "init", "project"]

FRAMEWORKS: Mapping[str, tuple[str, str]] = {
    "plain": ("httpx", "httpx"),
    "openai": ("openai", "openai"),
    "openai-agents": ("agents", "openai-agents"),
}
"""What an agent may be written with: the module it imports, and the distribution that brings it."""
_SUFFIX = ".txt"
"""Of a program: in the wheel it is text, and nobody's to import."""


@click.command()
@click.argument(
    "folder", metavar="[DIR]", required=False, default=".", type=click.Path(file_okay=False, path_type=Path)
)
@click.option(
    "--framework",
    default="plain",
    show_default=True,
    type=click.Choice(tuple(FRAMEWORKS)),
    help="What the agent asks its model with.",
)
@as_json
@log_level
def init(*, folder: Path, framework: str, as_json: bool) -> None:
    """Begin a project that runs, offline.

    An agent, its tasks, a reward, and a program that runs them with a scripted model; it says which line to change for
    a real one. Nothing is overwritten.
    """
    written = _write(folder, project(framework))
    module, distribution = FRAMEWORKS[framework]
    missing = find_spec(module) is None
    if missing:
        warn(f"{distribution} is not installed: pip install {distribution}")
    if as_json:
        print_json({"folder": str(folder), "framework": framework, "files": written, "missing": missing})
        return
    for name in written:
        click.echo(folder / name)
    steps = [f"cd {folder}"] if folder.resolve() != Path.cwd() else []
    click.echo("\n" + "\n".join(["next:", *(f"  {step}" for step in [*steps, "python train.py", "agl rollouts list"])]))


def project(framework: str) -> dict[str, str]:
    """Name and text of every file."""
    home = files("agl_core") / "_project"
    found = {
        source.name.removesuffix(_SUFFIX): source.read_text("utf-8")
        for part in ("every", framework)
        for source in (home / part).iterdir()
        if source.is_file()
    }
    return dict(sorted(found.items()))


def _write(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """All of them, or none."""
    from agl_core.errors import BadValue

    there = [name for name in texts if (folder / name).exists()]
    if there:
        raise BadValue("DIR", str(folder), why=f"it has {', '.join(there)}, and nothing is overwritten")
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            with (folder / name).open("x", encoding="utf-8") as file:
                written.append(folder / name)
                file.write(text)
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise BadValue("DIR", str(folder), why=str(error.strerror or error)) from None
    return list(texts)
