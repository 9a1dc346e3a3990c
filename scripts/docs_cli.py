"""Write the reference of the command line: `python scripts/docs_cli.py`."""

from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from agl_core._builtin import agl_register_exporters
from agl_core.cli import agl
from agl_core.cli._export_rows import Format
from agl_core.plugins import Plugins

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"
HEAD = """
# The command line

Made from the commands themselves by `python scripts/docs_cli.py`. Plugins add commands of their own, such as
`agl demo`: `agl --help` lists them all.

Data goes to stdout, talk to stderr; with `--json`, stdout is one JSON document and errors are
`{"error": {"code": ..., "message": ...}}` on stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done in part, 130
interrupted. What `agl log query` may name stands in [Views](views.md).
"""


def reference() -> str:
    """Every command of the core. Markdown."""
    parts = [HEAD.strip()]
    for path, command in _commands():
        parts.append(_command(path, command))
        if path == "agl export otlp":
            parts += _formats()
    return "\n\n".join(parts) + "\n"


def _commands() -> Iterator[tuple[str, click.Command]]:
    for name, later in agl.later.items():
        command = later.load()
        inner = getattr(command, "commands", None)
        if inner is None:
            yield f"agl {name}", command
        else:
            yield from ((f"agl {name} {each}", inner[each]) for each in inner)


def _formats() -> Iterator[str]:
    """The core's formats of `agl export`: what is common to them, then each."""
    formats = {name: Format(kind, Plugins()) for name, kind in agl_register_exporters().items()}
    first = next(iter(formats.values()))
    common = [option for option in first.params if isinstance(option, click.Option)]
    yield f"## agl export FORMAT {_place(first.params[0])}"
    yield (
        "Writes rows of runs or rollouts, from the log and at any time; default: the last run. Plugins bring formats, "
        "too. The options of a format, and those of the adapter whose rows it wants, are listed by "
        "`agl export FORMAT --help`. Exit code 3: the format cannot hold some of the rows."
    )
    yield "\n".join(_option(option) for option in common)
    for name, command in formats.items():
        yield f"### agl export {name}"
        yield cleandoc(command.help or "").split("; default")[0].replace(", from the log and at any time", ".")
        if command.told:
            yield "\n".join(_option(option) for option in command.told)


def _command(path: str, command: click.Command) -> str:
    places = [_place(argument) for argument in command.params if isinstance(argument, click.Argument)]
    options = [_option(option) for option in command.params if isinstance(option, click.Option)]
    return "\n\n".join([f"## {' '.join([path, *places])}", cleandoc(command.help or ""), "\n".join(options)])


def _place(argument: click.Argument) -> str:
    return argument.metavar or (argument.name or "").upper()


def _option(option: click.Option) -> str:
    names = "/".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag else " " + (option.metavar or _kind(option.type))
    default = f" Default: {option.default}." if option.show_default else ""
    required = " Required." if option.required else ""
    return f"- `{names}{value}`: {option.help}{default}{required}"


def _kind(kind: click.ParamType) -> str:
    return "|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else kind.name.split()[0].upper()


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(reference(), "utf-8")
    print(PAGE)
