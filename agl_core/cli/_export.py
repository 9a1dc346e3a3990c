"""`agl export`: what a log holds, for other tools."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._counting import counting
from agl_core.cli._lazy import LazyGroup
from agl_core.cli._logs import find_either, open_log
from agl_core.cli._options import as_json, at, log_level, log_path
from agl_core.cli._tables import print_json
from agl_core.errors import BadValue

if TYPE_CHECKING:
    from agl_core.export import Exporter
    from agl_core.export.otlp import Told
    from agl_core.log import SqliteLog

__all__ = ["export"]

PLACES = ("otlp", "jaeger", "langfuse", "mlflow", "phoenix", "weave")
"""`agl_core.export.otlp.PRESETS`, known without importing it; a test holds them equal."""
_PARTLY = 3
_OF = """
select rollout_id, run_id from rollouts where rollout_id = ?1 or (run_id = ?1 and hidden = 0) order by position
"""
_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"


class Formats(LazyGroup):
    """The core's commands, then a command for each exporter that is registered."""

    unknown = " Is the plugin that brings it installed? `agl plugins` tells."
    _KEY = "agl_core.cli.exporters"

    def list_commands(self, ctx: click.Context) -> list[str]:
        """What is there without a plugin comes first."""
        return [*super().list_commands(ctx), *self._exporters(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The core's command of that name, else an exporter's."""
        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        exporter = self._exporters(ctx).get(cmd_name)
        if exporter is None:
            return None
        from agl_core.cli._export_rows import Format

        return Format(exporter, ctx.meta[f"{self._KEY}.plugins"])

    def _exporters(self, ctx: click.Context) -> dict[str, type[Exporter[Any]]]:
        if self._KEY not in ctx.meta:
            from agl_core.plugins import Plugins

            ctx.meta[f"{self._KEY}.plugins"] = plugins = Plugins.load()
            ctx.meta[self._KEY] = {name: one for name, one in plugins.exporters().items() if name not in self.commands}
        found: dict[str, type[Exporter[Any]]] = ctx.meta[self._KEY]
        return found


@click.group(cls=Formats, later={})
def export() -> None:
    """Export: what a log holds, for other tools."""


@export.command("otlp")
@click.argument("ids", nargs=-1, metavar="[RUN|ROLLOUT]...")
@click.option("--to", metavar="URL", help="The receiver; default: OTEL_EXPORTER_OTLP_ENDPOINT.")
@click.option(
    "--preset", type=click.Choice(PLACES), default="otlp", show_default=True,
    help="Which tool it is: it knows the path, and the variables that hold its keys.",
)  # fmt: skip
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header of each request.")
@click.option(
    "--resource", multiple=True, metavar="NAME=VALUE", help="An attribute of the sender, such as wandb.project."
)
@click.option(
    "--content/--no-content", default=None,
    help=f"Send what was said, or only names and numbers; default: as {_CONTENT} says, else send it.",
)  # fmt: skip
@click.option("--include-token-ids", is_flag=True, help="Send token ids and log-probabilities; else only their digest.")
@at
@log_path
@as_json
@log_level
def otlp(
    *,
    ids: Sequence[str],
    to: str | None,
    preset: str,
    headers: Sequence[str],
    resource: Sequence[str],
    content: bool | None,
    include_token_ids: bool,
    at: str | None,
    log_path: str | None,
    as_json: bool,
) -> None:
    """Send runs or rollouts as OpenTelemetry traces, from the log and at any time; default: the last run.

    Each attempt that counts is a trace: the attempt, its model calls, its spans, its rewards as evaluations. Ids are
    the same each time, so that what is sent again replaces itself. Exit code 3: the receiver rejected some.
    """
    from agl_core.export.otlp import place, send

    where = place(to, preset=preset, headers=_pairs(headers, "--header"), environment=os.environ)
    is_said = os.environ.get(_CONTENT, "true").lower() not in {"no_content", "false"} if content is None else content
    with open_log(log_path, at=at) as log:
        spans = _spans(log, ids, _pairs(resource, "--resource"), content=is_said, token_ids=include_token_ids)
        sent = send(spans, where, progress=counting("spans sent"))
    if as_json:
        print_json({"to": where.url, "spans": sent.spans, "rejected": sent.rejected, "why": sent.why})
    else:
        click.echo(f"{sent.spans} spans sent to {where.url}")
    if sent.rejected:
        click.echo(f"{sent.rejected} spans were rejected: {sent.why or 'the receiver does not say why'}", err=True)
        sys.exit(_PARTLY)


def _spans(
    log: SqliteLog, ids: Sequence[str], resource: dict[str, str], *, content: bool, token_ids: bool
) -> Iterator[Told]:
    from agl_core.cli._tree import known_dialects
    from agl_core.export.otlp import told
    from agl_core.projections import traces

    dialects = known_dialects()
    for rollout_id, run_id in _wanted(log, ids):
        (trace,) = traces([log.read(stream=f"rollout/{rollout_id}")])
        if not trace.attempt_id:
            continue  # nobody took it: there is nothing to tell
        ((began, ended),) = log.rows(
            "select started_at, coalesce(ended_at, 0) from attempts where attempt_id = ?", (trace.attempt_id,)
        )
        yield from told(
            trace, run_id=run_id, resource=resource, content=content, token_ids=token_ids, at=(began, ended),
            dialects=dialects,
        )  # fmt: skip


def _wanted(log: SqliteLog, ids: Sequence[str]) -> Iterable[tuple[str, str | None]]:
    """Rollouts in the order they were enqueued, with their runs."""
    if not ids:
        last = log.rows("select run_id from runs order by position desc limit 1")
        ids = [run_id for (run_id,) in last]
    for given in ids:
        yield from log.rows(_OF, (find_either(log, given),))


def _pairs(given: Sequence[str], option: str) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            # Not the text: it may be a key.
            raise BadValue(option, name, why="write it as NAME=VALUE")
        found[name.strip()] = value.strip()
    return found
