"""`agl`: the root of the command line, and the one place where a failure becomes an exit code."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from agl_core.cli._failing import JSON, report, warn
from agl_core.cli._lazy import Later, LazyGroup
from agl_core.cli._options import log_level
from agl_core.errors import AglError

__all__ = ["agl", "main"]

COMMANDS = {
    "init": Later("agl_core.cli._init:init", "Begin a project that runs, offline."),
    "train": Later("agl_core.cli._train:train", "Improve an agent with an algorithm."),
    "run": Later("agl_core.cli._run:run", "Run an agent over tasks and score it; nothing is learned."),
    "resume": Later("agl_core.cli._resume:resume", "Go on with a run where its log ends."),
    "stop": Later("agl_core.cli._stop:stop", "Ask a run to come to its end in good order."),
    "judge": Later("agl_core.cli._judge:judge", "Judge rollouts that have ended: by id, by run, or all of the log."),
    "runs": Later("agl_core.cli._runs:runs", "Runs: what was tried, and how it went."),
    "rollouts": Later("agl_core.cli._rollouts:rollouts", "Rollouts: tasks that were handed out, and what agents did."),
    "resources": Later(
        "agl_core.cli._resources:resources",
        "Resources: versions of prompts and models, which is the best, and the way back.",
    ),
    "replay": Later("agl_core.cli._replay:replay", "Make again what a log remembers: rows, scores, or the run itself."),
    "diff": Later("agl_core.cli._diff:diff", "Compare two runs, rollouts, batches, resources, or files of rows."),
    "explain": Later(
        "agl_core.cli._explain:explain",
        "Explain what a rollout, a call or a batch earned, and what became of a reward.",
    ),
    "why": Later(
        "agl_core.cli._why:why",
        "Walk back from a thing to its first cause: what led to it, and to that, and where.",
    ),
    "export": Later("agl_core.cli._export:export", "Export: what a log holds, for other tools."),
    "import": Later("agl_core.cli._import:import_", "Import what others wrote: trajectories, chats, traces, a store."),
    "log": Later("agl_core.cli._log:log", "The log: ask it, check it, fold it again."),
    "doctor": Later("agl_core.cli._doctor:doctor", "Say what is wrong here, and how to mend it."),
    "plugins": Later("agl_core.cli._plugins:plugins", "Plugins: which are installed, and which are broken."),
}
PLUGINS = "agl_core.cli.plugins"
INTERRUPTED = 130
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Root(LazyGroup):
    """The core's commands, then those of plugins; plugins are loaded only when they may be meant."""

    unknown = " Is the plugin that brings it installed? `agl plugins` tells."

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The core's, then those of plugins."""
        return [*super().list_commands(ctx), *self._guests(ctx).list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The core's command of that name, else a plugin's."""
        return super().get_command(ctx, cmd_name) or self._guests(ctx).get_command(ctx, cmd_name)

    def _guests(self, ctx: click.Context) -> click.Group:
        """What plugins registered: in a group of their own, so that none can replace a command of the core."""
        if PLUGINS not in ctx.meta:
            from agl_core.plugins import Plugins

            commands = Plugins.load().commands(
                lambda failed: warn(f"plugin {failed.name!r} could not add its commands: {failed.why}")
            )
            ctx.meta[PLUGINS] = guests = click.Group(commands=commands)
            for taken in self.later.keys() & guests.commands.keys():
                warn(f"a plugin's command {taken!r} is left out: the core has one of that name")
                del guests.commands[taken]
        found: click.Group = ctx.meta[PLUGINS]
        return found

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read what was typed; `--help` asks the plugins, and one that is required may be missing."""
        as_json = "--json" in args
        try:
            return super().make_context(info_name, args, parent, **extra)
        except AglError as error:
            report(error, as_json=as_json)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what is wrong with the request is said in one line, with its code."""
        try:
            return super().invoke(ctx)
        except AglError as error:
            report(error, as_json=bool(ctx.meta.get(JSON)))
            ctx.exit(1)
        except KeyboardInterrupt:
            warn("interrupted: what was recorded stays")
            ctx.exit(INTERRUPTED)

    def main(self, *arguments: Any, **extra: Any) -> Any:
        """The whole of it; what it prints to may take no more."""
        try:
            return super().main(*arguments, **extra)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            if not error.filename:
                _let_go_of_stdout()
            click.echo(f"Error: {error.filename or 'the output'} takes no more: {error.strerror}", err=True)
            sys.exit(1)


def _let_go_of_stdout() -> None:
    """What is left in its buffer goes nowhere: Python would try again at the end, and exit with a code of its own."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _version(ctx: click.Context, _option: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if value:
        from importlib.metadata import version

        click.echo(f"agl {version('agl-core')}")
        ctx.exit()


def _only(_ctx: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is not None:
        os.environ["AGL_LOAD_PLUGINS"] = "" if value == "none" else value


def _without(_ctx: click.Context, _option: click.Parameter, value: tuple[str, ...]) -> None:
    if value:
        os.environ["AGL_DISABLE_PLUGINS"] = ",".join(filter(None, [os.environ.get("AGL_DISABLE_PLUGINS"), *value]))


agl = Root(
    "agl",
    later=COMMANDS,
    help="Trace, score and train AI agents; everything that happens is kept in one log.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done in part, 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Say the version, and leave.",
        ),
        # Both go by the environment: processes that a command starts load the same plugins.
        click.Option(
            ["--plugins"],
            metavar="A,B|none",
            is_eager=True,
            expose_value=False,
            callback=_only,
            help="Load these plugins only.",
        ),
        click.Option(
            ["--no-plugin"],
            metavar="NAME",
            multiple=True,
            is_eager=True,
            expose_value=False,
            callback=_without,
            help="Go on without a plugin.",
        ),
    ],
)
log_level(agl)


def main() -> None:
    """What the script `agl` runs."""
    # `agl ... >&-`: Python has no stdout then, and what is printed goes nowhere.
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
        agl(prog_name="agl")
