"""`agl plugins`: which are installed, which are broken, who answers a hook, and how to begin one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._failing import warn
from agl_core.cli._options import as_json, log_level
from agl_core.cli._tables import facts, print_json, print_table

if TYPE_CHECKING:
    from agl_core.plugins import Loaded

__all__ = ["plugins"]

KINDS = ("adapter", "algorithm", "command", "dialect", "engine", "exporter", "judge", "reaction", "tracer")


@click.group(invoke_without_command=True)
@as_json
@log_level
@click.pass_context
def plugins(ctx: click.Context, *, as_json: bool) -> None:
    """Plugins: which are installed, and which are broken."""
    if ctx.invoked_subcommand is None:
        _list(as_json=as_json)


@plugins.command("list")
@as_json
@log_level
def list_plugins(*, as_json: bool) -> None:
    """All that are installed, also broken and disabled ones. `agl plugins` alone does the same."""
    _list(as_json=as_json)


@plugins.command("why")
@click.argument("target", metavar="HOOK|PLUGIN|KIND:NAME")
@as_json
@log_level
def why(*, target: str, as_json: bool) -> None:
    """Who answers, and why a plugin does not: `agl_open_log`, `grpo`, `adapter:triplets`, `algorithm:grpo`,
    `command:demo`, `dialect:gen_ai`, `judge:numeric`."""  # noqa: D205, D209 - one sentence
    from agl_core.cli._plugin_answers import answer
    from agl_core.plugins import Plugins

    told = answer(Plugins.load(lenient=True), target)
    if as_json:
        print_json(told)
        return
    for problem in told.get("problems", ()):
        warn(f"plugin {problem['plugin']!r} is not among them: {problem['why']}")
    _print_answer(told)


@plugins.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="command", show_default=True, help="What it brings.")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where its folder is made; default: here.",
)
@as_json
@log_level
def new(*, name: str, kind: str, into: Path, as_json: bool) -> None:
    """Begin a plugin: a distribution of its own, whose tests pass as it is. NAME is what `agl plugins` will show."""
    from agl_core.cli._plugin_template import write

    folder, files = write(name, kind, into=into)
    if as_json:
        print_json({"folder": str(folder), "kind": kind, "files": files})
        return
    click.echo(f"{folder} holds a plugin of kind {kind}:")
    for file in files:
        click.echo(f"  {file}")
    click.echo(
        f"Install it and run its tests:\n  pip install -e {folder} pytest && python -m pytest {folder}\n  agl plugins"
    )


def _list(*, as_json: bool) -> None:
    from agl_core.plugins import Plugins

    found = Plugins.load(lenient=True)
    listed = sorted([*found.loaded, *found.disabled], key=lambda plugin: plugin.name)
    if as_json:
        print_json([as_dict(plugin) for plugin in listed])
        return
    print_table(
        ("plugin", "version", "distribution", "status", "load ms", "hooks, or why not"),
        [
            (
                plugin.name, plugin.version, plugin.distribution, plugin.status, plugin.load_ms,
                plugin.error or (plugin.disabled_by and f"by {plugin.disabled_by}") or ", ".join(plugin.hooks),
            )
            for plugin in listed
        ],
    )  # fmt: skip


def as_dict(plugin: Loaded) -> dict[str, Any]:
    """A plugin, as programs see it."""
    return {
        "name": plugin.name,
        "version": plugin.version,
        "distribution": plugin.distribution,
        "status": plugin.status,
        "hooks": list(plugin.hooks),
        "load_ms": plugin.load_ms,
        "error": plugin.error,
        "disabled_by": plugin.disabled_by,
    }


def _print_answer(told: dict[str, Any]) -> None:
    plain = [(name, value) for name, value in told.items() if isinstance(value, str | int | float)]
    hooks = told.get("hooks")
    facts([*((name, value) for name, value in plain if name != "traceback"), ("hooks", hooks and ", ".join(hooks))])
    if "asked" in told:
        print_table(("plugin", "version", "distribution"), [tuple(one.values()) for one in told["asked"]])
    for one in told.get("left_out", ()):
        click.echo(f"{one['plugin']} is not asked: {one['why']}")
    if trace := told.get("traceback"):
        click.echo(trace.rstrip())
