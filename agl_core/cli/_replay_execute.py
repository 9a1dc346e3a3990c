"""`agl replay --mode execute`: the agent's own code, on what the log remembers."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._counting import counting
from agl_core.cli._failing import warn
from agl_core.cli._logs import find, find_either, open_log, position
from agl_core.cli._tables import print_json, print_table
from agl_core.errors import AglError

if TYPE_CHECKING:
    from agl_core.replay import Replayed

__all__ = ["execute"]

_NO_USE = {
    "adapter": "--adapter", "credit": "--credit", "judges": "--judge", "models": "--model", "sets": "--set",
}  # fmt: skip
"""Options of the other ways."""
_SHOWN = 5


def execute(
    *,
    target: str,
    at: int | None,
    into: Path | None,
    agent: str | None,
    ignore: Sequence[str],
    strict: bool,
    tools: Sequence[str],
    allow_network: bool,
    stepwise: bool,
    log_path: str | None,
    quiet: bool,
    as_json: bool,
    **others: Any,
) -> None:
    """Run the agent of a rollout, or of each rollout of a run, again. The log is only read."""
    from agl_core.cli._replay_step import Step
    from agl_core.plugins import Plugins
    from agl_core.replay import Options, replaying, replaying_run, tool_ways

    said = [option for name, option in _NO_USE.items() if others.get(name)]
    if said:
        raise click.UsageError(f"--mode execute has no use for {', '.join(said)}: models answer what is recorded")
    if stepwise and as_json:
        raise click.UsageError("--step shows each call and waits; --json is for programs, which do not look")
    with open_log(log_path) as log:
        until = position(log, str(at), "--at") if at is not None else None
        id_ = find(log, "rollout", target) if target.startswith("ro-") else find_either(log, target)
        told: dict[str, Any] = {"agent": agent, "into": into, "at": until, "plugins": Plugins.load()}
        compared: dict[str, Any] = {
            "strict": strict,
            "ignore": ignore,
            "tools": tool_ways(tools),
            "allow_network": allow_network,
        }
        if id_.startswith("ro-"):
            done = asyncio.run(replaying(log, id_, on_call=Step().look if stepwise else None, **told, **compared))
            print_json(_said(done)) if as_json else _tell(done)
            sys.exit(0 if done.is_same else 1)
        if stepwise:
            raise click.UsageError("--step goes through one rollout: name it")
        heard = counting("rollouts replayed") if not quiet else _nothing
        all_ = asyncio.run(replaying_run(log, id_, options=Options(**compared), heard=heard, **told))
    _tell_all(id_, all_, as_json=as_json)


def _said(done: Replayed) -> dict[str, Any]:
    """For programs."""
    return {
        "replay_id": done.replay_id,
        "rollout_id": done.rollout_id,
        "attempt_id": done.attempt_id,
        "outcome": "same" if done.is_same else "departed",
        "departed": _departed(done.departed) if done.departed else None,
        "differs": done.differs,
        "calls": done.calls,
        "answered": done.answered,
        "tools": done.tools,
        "reward": {"then": done.then.reward, "now": done.now.reward},
        "exit_status": {"then": done.then.exit_status, "now": done.now.exit_status},
        "denied": done.denied,
        "plugins": {name: {"then": then, "now": now} for name, (then, now) in done.plugins.items()},
        "log": str(done.log),
    }


def _departed(error: AglError) -> dict[str, Any]:
    shown = {"code": error.code, "why": str(error)}
    return {**shown, **{name: error.facts[name] for name in ("recorded", "difference") if name in error.facts}}


def _tell(done: Replayed) -> None:
    """For people."""
    click.echo(f"rollout   {done.rollout_id}, attempt {done.attempt_id}")
    tools = f", {done.tools} tool call{'s' * (done.tools != 1)}" if done.tools else ""
    click.echo(f"answered  {done.answered} of {done.calls} model calls{tools} from the log")
    if done.departed is None:
        click.echo(f"reward    {_pair(done.then.reward, done.now.reward)}")
        click.echo(f"exit      {_pair(done.then.exit_status, done.now.exit_status)}")
        if done.now.error:
            click.echo(f"error     {done.now.error}")
    click.echo(f"log       {done.log}")
    for name, (then, now) in done.plugins.items():
        warn(f"plugin {name!r} was {then or 'without a version'} then, and is {now or 'not loaded'} now")
    if done.denied:
        warn(f"kept from leaving this machine: {', '.join(done.denied[:_SHOWN])}; --allow-network lets it out")
    if done.is_same:
        click.echo(click.style("same", fg="green", bold=True))
        return
    click.echo(click.style("departed", fg="red", bold=True))
    for line in _why(done):
        click.echo(f"  {line}")


def _why(done: Replayed) -> Iterator[str]:
    """Where, the first difference first."""
    if done.departed is not None:
        yield f"[{done.departed.code}] {done.departed}"
        for one in done.departed.facts.get("difference", ())[:_SHOWN]:
            yield f"{one['at']}"
            yield f"  recorded  {json.dumps(one['recorded'], ensure_ascii=False)}"
            yield f"  asked     {json.dumps(one['asked'], ensure_ascii=False)}"
    if unasked := done.differs.get("unasked"):
        others = f" and {len(unasked) - _SHOWN} more" if len(unasked) > _SHOWN else ""
        yield f"not asked for this time: {', '.join(unasked[:_SHOWN])}{others}"
    for name in ("reward", "exit_status", "error"):
        if name in done.differs:
            yield f"{name}: {done.differs[name]['then']} then, {done.differs[name]['now']} now"


def _pair(then: object, now: object) -> str:
    return f"{then} then, {now} now" if then != now else f"{now}, as then"


def _tell_all(run_id: str, all_: Mapping[str, Replayed | AglError], *, as_json: bool) -> None:
    """What came of each, and of how many it is the same."""
    done = [one for one in all_.values() if not isinstance(one, AglError)]
    same = sum(one.is_same for one in done)
    if as_json:
        rows = [
            {"rollout_id": id_, "outcome": "refused", "error": {"code": one.code, "message": str(one)}}
            if isinstance(one, AglError)
            else _said(one)
            for id_, one in all_.items()
        ]
        print_json({"run_id": run_id, "rollouts": rows, "same": same, "departed": len(done) - same})
    else:
        print_table(("rollout", "outcome", "calls", "reward", "why"), [_row(id_, one) for id_, one in all_.items()])
        log = f"; {done[0].log}" if done else ""
        click.echo(f"{same} of {len(all_)} the same{log}")
    if same < len(all_):
        sys.exit(1)


def _row(rollout_id: str, one: Replayed | AglError) -> tuple[str, str, str, str, str]:
    if isinstance(one, AglError):
        return rollout_id, "refused", "", "", f"[{one.code}] {one}"
    outcome = "same" if one.is_same else "departed"
    why = next(_why(one), "") if not one.is_same else ""
    return rollout_id, outcome, f"{one.answered}/{one.calls}", _pair(one.then.reward, one.now.reward), why


def _nothing(_done: int, _of: int | None, /) -> None:
    """Say nothing."""
