"""`agl rollouts`: tasks that were handed out, and what agents did with them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._logs import find, open_log, within
from agl_core.cli._options import as_json, at, log_level, log_path
from agl_core.cli._rerun import rerun
from agl_core.cli._tables import facts, print_json, print_table
from agl_core.cli._tree import branches, drawn, known_dialects
from agl_core.cli._words import duration, here, iso

if TYPE_CHECKING:
    from agl_core.events import RewardGiven
    from agl_core.log import SqliteLog
    from agl_core.projections import Trace
    from agl_core.store import Attempt, Rollout

__all__ = ["rollouts"]

STATUSES = ("queuing", "preparing", "running", "requeuing", "succeeded", "failed", "cancelled")


@click.group()
def rollouts() -> None:
    """Rollouts: tasks that were handed out, and what agents did."""


rollouts.add_command(rerun)


@rollouts.command("list")
@click.option("--run", metavar="RUN", help="Only those of this run; the start of its id will do.")
@click.option("--status", multiple=True, type=click.Choice(STATUSES), help="Only these; may be given more than once.")
@click.option("--mode", type=click.Choice(("train", "val", "test")), help="Only those of this split.")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(min=0), help="So many, newest first; 0 for all."
)
@at
@log_path
@as_json
@log_level
def list_rollouts(
    *, run: str | None, status: Sequence[str], mode: str | None, limit: int, at: str | None,
    log_path: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Rollouts of the log, newest first."""
    with open_log(log_path, at=at) as log:
        run_id = find(log, "run", run) if run else None
        found, total = _listed(log, run_id=run_id, statuses=status, mode=mode, limit=limit)
    if as_json:
        print_json(found)
        return
    columns = ("rollout", "mode", "status", "exit", "reward", "attempts", "calls", "tokens", "enqueued", "took")
    print_table(
        columns,
        [
            (
                rollout["rollout_id"], rollout["mode"], rollout["status"], rollout["exit_status"], rollout["reward"],
                rollout["attempts"], rollout["calls"], rollout["tokens"], here(rollout["enqueued_at"]),
                duration(rollout["seconds"]),
            )
            for rollout in found
        ],
    )  # fmt: skip
    if total > len(found):
        click.echo(f"{len(found)} of {total}: --limit 0 shows all", err=True)


def _listed(
    log: SqliteLog, *, run_id: str | None, statuses: Sequence[str], mode: str | None, limit: int
) -> tuple[list[dict[str, Any]], int]:
    from agl_core.store import REWARD

    where, given = ["hidden = 0"], list(statuses)
    if statuses:
        where.append(f"status in ({', '.join('?' * len(statuses))})")
    for column, value in (("run_id", run_id), ("mode", mode)):
        if value is not None:
            where.append(f"{column} = ?")
            given.append(value)
    condition = " and ".join(where)
    counted = """
      (select {} from attempts a join calls c using (attempt_id) where a.rollout_id = r.rollout_id)
    """
    rows = log.rows(
        f"""
        select rollout_id, run_id, task_id, grp, repeat, mode, status, exit_status, {REWARD}, attempts,
          {counted.format("count(*)")},
          {counted.format("coalesce(sum(prompt_tokens + completion_tokens), 0)")},
          enqueued_at, finished_at
        from rollouts r
        where {condition}
        order by position desc
        limit ?
        """,  # noqa: S608 - names of ours, values by mark
        [*given, limit or -1],
    )
    total = log.rows(f"select count(*) from rollouts where {condition}", given)[0][0]  # noqa: S608 - the same
    names = (
        "rollout_id", "run_id", "task_id", "group", "repeat", "mode", "status", "exit_status", "reward", "attempts",
        "calls", "tokens", "enqueued_at", "finished_at",
    )  # fmt: skip
    return [_timed(dict(zip(names, row, strict=True))) for row in rows], total


def _timed(rollout: dict[str, Any]) -> dict[str, Any]:
    enqueued, finished = rollout["enqueued_at"], rollout["finished_at"]
    seconds = None if finished is None else round((finished - enqueued) / 1e9, 3)
    return {**rollout, "enqueued_at": iso(enqueued), "finished_at": iso(finished), "seconds": seconds}


@rollouts.command("show")
@click.argument("rollout_id", metavar="ROLLOUT")
@click.option("--tree", "as_tree", is_flag=True, help="Show what was done in what: agents, tools, model calls.")
@at
@log_path
@as_json
@log_level
def show_rollout(*, rollout_id: str, as_tree: bool, at: str | None, log_path: str | None, as_json: bool) -> None:
    """One rollout: what was said, done and earned. ROLLOUT may be the start of an id."""
    from agl_core.projections import tree
    from agl_core.store import Queries

    with open_log(log_path, at=at) as log:
        found = find(log, "rollout", rollout_id)
        ask = Queries(within(log, f"rollout/{found}"))
        rollout = ask.rollout(found)
        attempts = ask.attempts(rollout.rollout_id)
        trace = ask.traces([rollout.rollout_id])[0]
        reward = ask.outcomes([rollout.rollout_id], {rollout.rollout_id: None})[0].reward
        withdrawn = _withdrawn(log, rollout.rollout_id)
        ((parent,),) = log.rows("select parent from rollouts where rollout_id = ?", (rollout.rollout_id,))
    told = {**_told(rollout, attempts, trace, reward), "parent": parent, "withdrawn": withdrawn}
    if as_json:
        print_json({**told, "tree": branches(tree(trace, dialects=known_dialects()))})
    elif as_tree:
        _show_facts(told)
        click.echo()
        for line in drawn(tree(trace, dialects=known_dialects())):
            click.echo(line)
    else:
        _show(told)


def _told(rollout: Rollout, attempts: Sequence[Attempt], trace: Trace, reward: float | None) -> dict[str, Any]:
    from agl_core.cli._transcript import conversation, conversations

    return {
        "rollout_id": rollout.rollout_id,
        "run_id": rollout.run_id,
        "task_id": rollout.task_id,
        "task": rollout.input,
        "mode": rollout.mode,
        "group": rollout.group,
        "repeat": rollout.repeat,
        "status": rollout.status,
        "exit_status": rollout.exit_status,
        "reward": reward,
        "resources": f"{rollout.resources_id}@{rollout.resources_version}" if rollout.resources_id else None,
        "enqueued_at": iso(round(rollout.start_time * 1e9)),
        "finished_at": rollout.end_time and iso(round(rollout.end_time * 1e9)),
        "seconds": rollout.end_time and round(rollout.end_time - rollout.start_time, 3),
        "metadata": rollout.metadata,
        "attempts": [
            {
                "attempt_id": attempt.attempt_id,
                "sequence": attempt.sequence_id,
                "status": attempt.status,
                "exit_status": attempt.exit_status,
                "error": attempt.error,
                "worker_id": attempt.worker_id,
                "started_at": iso(round(attempt.start_time * 1e9)),
                "ended_at": attempt.end_time and iso(round(attempt.end_time * 1e9)),
            }
            for attempt in attempts
        ],
        "rewards": [_reward(reward.id, reward.given) for reward in trace.rewards],
        "conversations": [conversation(calls) for calls in conversations(trace.calls)],
    }


def _reward(reward_id: str | None, given: RewardGiven) -> dict[str, Any]:
    return {
        "reward_id": reward_id,
        "name": given.name,
        "value": given.value,
        "judge": given.judge,
        "target": {"kind": given.target.kind, "id": given.target.id},
    }


def _withdrawn(log: SqliteLog, rollout_id: str) -> list[dict[str, Any]]:
    """Rewards that count no more, with the reason."""
    from agl_core.events import RewardGiven, RewardWithdrawn

    given: dict[str, RewardGiven] = {}
    withdrawn: dict[str, str] = {}
    for record in log.read(stream=f"rollout/{rollout_id}", types=[RewardGiven.type, RewardWithdrawn.type]):
        match record.event:
            case RewardGiven() as event:
                given[record.id] = event
            case RewardWithdrawn() as event:
                withdrawn.setdefault(event.reward, event.why)
    return [{**_reward(id_, given[id_]), "why": why} for id_, why in withdrawn.items() if id_ in given]


def _show_facts(told: Mapping[str, Any]) -> None:
    calls = [call for conversation in told["conversations"] for call in conversation["calls"]]
    facts(
        [
            ("rollout", told["rollout_id"]),
            ("run", told["run_id"]),
            ("parent", told["parent"]),
            ("task", json.dumps(told["task"], ensure_ascii=False)),
            ("mode", told["mode"]),
            ("status", told["status"] + (f" ({told['exit_status']})" if told["exit_status"] else "")),
            ("reward", told["reward"]),
            ("resources", told["resources"]),
            ("enqueued", f"{here(told['enqueued_at'])}, took {duration(told['seconds'])}"),
            (
                "calls",
                (
                    f"{len(calls)}; {sum(call['prompt_tokens'] for call in calls)} tokens in, "
                    f"{sum(call['completion_tokens'] for call in calls)} out"
                ),
            ),
        ]
    )


def _show(told: Mapping[str, Any]) -> None:
    _show_facts(told)
    for attempt in told["attempts"]:
        click.echo(
            f"\nattempt {attempt['sequence']}  {attempt['attempt_id']}  {attempt['exit_status'] or attempt['status']}"
        )
        if attempt["error"]:
            click.echo(f"  {attempt['error']}")
    for number, conversation in enumerate(told["conversations"], start=1):
        _show_conversation(conversation, title=f"conversation {number} of {len(told['conversations'])}")
    if told["rewards"]:
        click.echo()
        print_table(("reward", "value", "judge", "of"), [_cells(reward) for reward in told["rewards"]])
    if told["withdrawn"]:
        click.echo()
        rows = [(*_cells(reward), reward["why"]) for reward in told["withdrawn"]]
        print_table(("withdrawn", "value", "judge", "of", "why"), rows)


def _cells(reward: Mapping[str, Any]) -> tuple[Any, ...]:
    target = reward["target"]
    return reward["name"], reward["value"], reward["judge"], f"{target['kind']} {target['id']}"


def _show_conversation(conversation: Mapping[str, Any], *, title: str) -> None:
    by = f" by {conversation['agent']}" if conversation["agent"] else ""
    tools = f", tools: {', '.join(conversation['tools'])}" if conversation["tools"] else ""
    role = "" if conversation["role"] == "policy" else f", as {conversation['role']}"
    click.echo(f"\n{title}: model {conversation['model']}{role}{by}{tools}")
    for message in conversation["messages"]:
        click.echo(f"\n{click.style(message['role'], bold=True)}{_about(message)}")
        if message["content"]:
            content = message["content"]
            click.echo(_indented(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)))
        for wish in message.get("tool_calls", ()):
            click.echo(_indented(f"-> {wish['name']}({wish['arguments']})"))
    for call in conversation["calls"]:
        if call["status"] != "ok":
            click.echo(f"\ncall {call['call_id']} {call['status']}: {call['error'] or 'no reason was recorded'}")


def _about(message: Mapping[str, Any]) -> str:
    if message.get("tool_call_id"):
        return f" (answers {message['tool_call_id']})"
    call = message.get("call")
    if not call:
        return ""
    version = "" if call["policy_version"] is None else f", policy version {call['policy_version']}"
    return (
        f" ({call['prompt_tokens']} tokens in, {call['completion_tokens']} out, {duration(call['latency'])}, "
        f"{call['finish_reason'] or call['status']}{version})"
    )


def _indented(text: str) -> str:
    return "\n".join("  " + line for line in text.splitlines())
