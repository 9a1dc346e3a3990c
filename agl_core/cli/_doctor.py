"""`agl doctor`: what is wrong here, with its cure, before a run is paid for."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._options import as_json, log_level, log_path
from agl_core.cli._tables import print_json

if TYPE_CHECKING:
    from agl_core.preflight import Finding, Given

__all__ = ["doctor"]

PARTIAL = 3
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "skipped": "bright_black"}


@click.command()
@click.argument("agent", metavar="[MODULE:AGENT]", required=False)
@click.option(
    "--tasks", metavar="FILE", help="Tasks to learn from: looked at, and the first ones run with MODULE:AGENT."
)
@click.option("--val", metavar="FILE", help="Tasks to watch progress on: looked at.")
@click.option("--test", metavar="FILE", help="Tasks that stay sealed: looked at, and not run.")
@click.option("--model", "models", multiple=True, metavar="NAME=URL", help="A model: started, and asked once.")
@click.option("--algorithm", metavar="NAME", help="What the agent is to be trained by: it says what it needs.")
@click.option(
    "--rollouts", default=1, show_default=True, type=click.IntRange(min=1), help="Of the agent; three compare rewards."
)
@click.option("--mcp", multiple=True, metavar="COMMAND", help="An MCP server: a command, or a JSON file naming some.")
@click.option("--port", default=0, type=click.IntRange(min=0, max=65535), help="A port that has to be free.")
@click.option(
    "--timeout", default=60.0, show_default=True, type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
    help="Longest time for a model, a server or a rollout.",
)  # fmt: skip
@log_path
@as_json
@log_level
def doctor(
    *,
    agent: str | None,
    tasks: str | None,
    val: str | None,
    test: str | None,
    models: Sequence[str],
    algorithm: str | None,
    rollouts: int,
    mcp: Sequence[str],
    port: int,
    timeout: float,
    log_path: str | None,
    as_json: bool,
) -> None:
    """Say what is wrong here, and how to mend it.

    Versions, plugins, the log, keys, models, GPUs, servers and data sets are looked at. With MODULE:AGENT it also runs
    on tasks, in a log of its own, and what would stop its training is said. Exit code 1 when something is wrong, 3 when
    a check could not be made; warnings alone are 0.
    """
    from agl_core.cli._datasets import read_tasks
    from agl_core.cli._driving import named_models
    from agl_core.cli._logs import where
    from agl_core.plugins import Plugins
    from agl_core.preflight import Given, examined

    if agent is not None and tasks is None:
        raise click.UsageError("an agent needs tasks to run on: --tasks FILE")
    splits = {name: file for name, file in (("train", tasks), ("val", val), ("test", test)) if file is not None}
    given = Given(
        log=where(log_path)[0], plugins=Plugins.load(), environment=os.environ, models=named_models(models),
        tasks=splits, read=read_tasks, mcp=mcp, port=port, timeout=timeout,
    )  # fmt: skip
    found = [*examined(given)]
    if not as_json:
        _tell(found)
    if agent is not None and tasks is not None:
        seen = [*_probed(agent, tasks, given, algorithm=algorithm, rollouts=rollouts)]
        found += seen
        if not as_json:
            _tell(seen)
    failed = [finding for finding in found if finding.status == "fail"]
    if as_json:
        print_json({"ok": not failed, "findings": [_plain(finding) for finding in found]})
    else:
        warned = sum(finding.status == "warn" for finding in found)
        click.echo(f"\n{len(failed)} failed, {warned} warning(s)")
    if failed:
        sys.exit(PARTIAL if all(finding.code == "CHECK_FAILED" for finding in failed) else 1)


def _probed(agent: str, tasks: str, given: Given, *, algorithm: str | None, rollouts: int) -> Iterator[Finding]:
    """What an agent does on its first tasks, in a log that is thrown away."""
    from agl_core.cli._code import find_code
    from agl_core.errors import AglError
    from agl_core.events import RolloutConfig
    from agl_core.preflight import Probe, needs_of, told
    from agl_core.trainer import Trainer

    try:
        code, given_tasks = find_code(agent), given.read(tasks)
        probe = Probe(rollouts, needs_of(_algorithm(algorithm, given)) if algorithm else ())
        with tempfile.TemporaryDirectory(prefix="agl-doctor-") as place:
            trainer = Trainer(
                algorithm=probe,
                models=given.models,
                store=str(Path(place) / "log.db"),
                n_runners=min(rollouts, 8),
                rollout_config=RolloutConfig(timeout_seconds=given.timeout, max_attempts=1),
                plugins=given.plugins,
                preflight=False,
            )
            trainer.fit(code, given_tasks)
    except AglError as error:
        yield told(error, check="agent")
    else:
        yield from probe.found


def _algorithm(name: str, given: Given) -> Any:
    from agl_core.cli._code import find_named

    return find_named(name, given.plugins.algorithm)


def _tell(found: Iterable[Finding]) -> None:
    """A line a finding, and its cure below it."""
    for finding in found:
        status = click.style(f"{finding.status:7}", fg=_COLOURS[finding.status])
        code = f" [{finding.code}]" if finding.code else ""
        click.echo(f"{status} {finding.check}{code}: {finding.what}")
        if finding.status in {"ok", "skipped"}:
            continue
        if finding.cure:
            click.echo(f"          cure: {finding.cure}")
        if finding.page and finding.page not in finding.what:
            click.echo(f"          see {finding.page}")


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "plugin": finding.plugin or None,
        "status": finding.status,
        "code": finding.code or None,
        "what": finding.what,
        "cure": finding.cure or None,
        "page": finding.page,
    }
