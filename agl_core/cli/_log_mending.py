"""`agl log verify`, `recover`, `compact`, `copy`: what is wrong with a log, and what can be done."""

from __future__ import annotations

import sys
from typing import Any

import click

from agl_core.cli._counting import counting
from agl_core.cli._logs import busy_is_said, open_log, there, where
from agl_core.cli._options import as_json, log_level, log_path
from agl_core.cli._tables import print_json, print_table
from agl_core.cli._words import size

__all__ = ["register"]


def register(group: click.Group) -> None:
    """Put the commands into `agl log`."""
    for command in (verify, recover, compact, copy):
        group.add_command(command)


@click.command("verify")
@click.option("--deep", is_flag=True, help="Read every event and blob, and fold every table again.")
@log_path
@as_json
@log_level
def verify(*, deep: bool, log_path: str | None, as_json: bool) -> None:
    """Say what is not as it should be: the file, order, seals, references and ids.

    With --deep, every event is decoded, every blob hashed and every table folded again: minutes, for a large log.
    """
    from agl_core.log import verify as find_faults

    path, _ = where(log_path)
    with open_log(log_path, projections=True) as log:
        found = [
            {"what": finding.what, "where": finding.where, "why": finding.why}
            for finding in find_faults(log, deep=deep, progress=counting("verified"))
        ]
        position = log.head()
    if as_json:
        print_json({"log": str(path), "events": position, "deep": deep, "ok": not found, "findings": found})
    elif found:
        print_table(("what", "where", "why"), [tuple(finding.values()) for finding in found])
    else:
        click.echo(f"{path} is sound: {position} events")
    if found:
        sys.exit(1)


@click.command("recover")
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@as_json
@log_level
def recover(*, source: str, target: str, as_json: bool) -> None:
    """Make a sound log at DST of every event that can be read of the damaged SRC, which is not touched.

    The place of an event that is lost is kept by a `capture.lost`. Exit code 3 when something was lost, or is not
    proved by its seal. Nobody may write to SRC meanwhile; room for two copies is needed beside DST.
    """
    from agl_core.log import recover as mend
    from agl_core.projections import CORE

    found = mend(there(source), where(target)[0], projections=CORE)
    told = {
        "log": str(where(target)[0]),
        "events": found.events,
        "lost": [{"first": one.first, "last": one.last, "why": one.why} for one in found.lost],
        "doubtful": [{"first": first, "last": last} for first, last in found.doubtful],
        "blobs_lost": list(found.blobs),
        "sealed_until": found.sealed,
        "key_saved": found.has_secret,
        "ok": found.is_whole,
    }
    if as_json:
        print_json(told)
    else:
        _tell_recovered(told, sum(one.last - one.first + 1 for one in found.lost))
    if not found.is_whole:
        sys.exit(3)


def _tell_recovered(told: dict[str, Any], lost: int) -> None:
    click.echo(f"{told['log']}: {told['events'] - lost} of {told['events']} events")
    for one in told["lost"]:
        click.echo(f"lost: {_stretch(one)}: {one['why']}")
    for one in told["doubtful"]:
        click.echo(f"kept, and not proved: {_stretch(one)}: it was changed, or its seal is lost")
    if told["blobs_lost"]:
        click.echo(f"lost: {len(told['blobs_lost'])} blobs, named in a blobs.erased")
    if told["sealed_until"] < told["events"]:
        click.echo(f"the seals hold until {told['sealed_until']}; what stands behind it is sealed anew")
    if not told["key_saved"]:
        click.echo("lost: the log's own key; tokens it gave out are worth nothing any more")


def _stretch(one: dict[str, Any]) -> str:
    return f"{one['first']}" if one["first"] == one["last"] else f"{one['first']}-{one['last']}"


@click.command("compact")
@click.option("--dry-run", "is_dry", is_flag=True, help="Say what would go, and write nothing.")
@click.option("--vacuum", "is_vacuumed", is_flag=True, help="Make the file smaller, too; nobody else may have it open.")
@click.option("--why", default="only deleted rollouts needed them", show_default=True, help="What the log is to say.")
@log_path
@as_json
@log_level
def compact(*, is_dry: bool, is_vacuumed: bool, why: str, log_path: str | None, as_json: bool) -> None:
    """Erase the blobs that only deleted rollouts need: messages, token ids, inputs. The events stay.

    Others may go on writing. The space is used again by what comes; --vacuum gives it back.
    """
    from agl_core.log import compact as erase
    from agl_core.log import vacuum
    from agl_core.projections import CORE

    path = there(log_path)
    if is_dry and is_vacuumed:
        raise click.UsageError("--vacuum writes, and --dry-run does not")
    with busy_is_said(path):
        done = erase(path, projections=CORE, is_dry=is_dry, why=why, progress=counting("looked at"))
        given = vacuum(path) if is_vacuumed else 0
    if as_json:
        told = {"rollouts": done.rollouts, "blobs": done.blobs, "bytes": done.bytes, "given_back": given}
        print_json({"log": str(path), "dry_run": is_dry, **told})
        return
    would = "would be erased" if is_dry else "erased"
    click.echo(f"{done.blobs} blobs ({size(done.bytes)}) of {done.rollouts} deleted rollouts {would}")
    if is_vacuumed:
        click.echo(f"the file is {size(given)} smaller")


@click.command("copy")
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--erase", "streams", multiple=True, metavar="STREAM", help="Leave this out; such as rollout/ro-...")
@click.option("--why", default="", metavar="TEXT", help="What the copy is to say about that.")
@as_json
@log_level
def copy(*, source: str, target: str, streams: tuple[str, ...], why: str, as_json: bool) -> None:
    """Copy a log as it is at this moment, also while it is written to; with --erase, without what must be forgotten.

    Each event of an erased stream keeps its place, its envelope and its part in the seals; its content is gone.
    """
    from agl_core.log import copy as make_copy
    from agl_core.projections import CORE

    found = there(source)
    made = where(target)[0]
    with busy_is_said(found):
        done = make_copy(found, made, erase=streams, why=why, projections=CORE)
    if as_json:
        print_json({"log": str(made), "events": done.events, "erased": done.erased})
        return
    click.echo(f"{done.events} events copied to {made}")
    for stream, events in done.erased.items():
        click.echo(f"erased: {stream}, {events} events")
