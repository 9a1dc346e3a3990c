"""A fact in a sentence, as `agl why` says it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from agl_core.cli import _why_found as found
from agl_core.cli._why_wrote import scope_of
from agl_core.cli._words import number
from agl_core.events import (
    AttemptExpired,
    AttemptFinished,
    AttemptStarted,
    BatchFormed,
    CallRecorded,
    OutcomesRead,
    PolicyPromoted,
    PolicyUpdated,
    ResourcesPromoted,
    ResourcesPublished,
    RewardGiven,
    RolloutCancelled,
    RolloutDeleted,
    RolloutEnqueued,
    RolloutFinished,
    RunFailed,
    RunFinished,
    RunStarted,
    RunStopAsked,
    StepRecorded,
    Unknown,
)

if TYPE_CHECKING:
    from agl_core.log import SqliteLog
    from agl_core.record import Record

__all__ = ["told"]

_SHORT = 100


def told(log: SqliteLog, record: Record) -> str:
    """What happened, with what it says of itself."""
    return _improved(log, record) or _worked(log, record) or _ran(record) or _plain(record)


def _improved(log: SqliteLog, record: Record) -> str | None:
    event = record.event
    match event:
        case ResourcesPromoted():
            by = event.by or record.actor
            earned = _earned(log, record, (event.resources_id, event.version))
            return _because(f"{event.resources_id}@{event.version} was promoted by {by}{earned}", event.why)
        case ResourcesPublished():
            source = f", from {event.parent}" if event.parent else ""
            by = f" by {event.run_id}" if event.run_id else ""
            return _because(f"{event.resources_id}@{event.version} was published{by}{source}", event.why)
        case OutcomesRead():
            return f"{event.run_id} was told what came of {_round(log, record, event)}"
        case StepRecorded():
            scope, kind = scope_of(record)
            where = scope.partition("/")[2].removeprefix("main").removeprefix(".")
            call = event.result.get("call_id") if isinstance(event.result, dict) else None
            asked = f", a model was asked ({call})" if call else ""
            did = "step `{}` made weights" if kind == "update" else "step `{}` was done"
            answer = _answer(event.result)
            where = f" in {where}" if where else ""
            return f"{did.format(event.label)}{where}{asked}{f': {answer}' if answer else ''}"
        case BatchFormed():
            left = f", {event.captured - event.kept} of {event.captured} calls dropped" if event.dropped else ""
            return f"{event.batch_id} was formed by {event.adapter} of {_some(event.rollouts)}: {event.rows} rows{left}"
        case PolicyUpdated():
            return f"policy {event.policy} began to speak with version {event.version} ({_short(event.checkpoint, 16)})"
        case PolicyPromoted():
            told = f"version {event.version} of policy {event.policy} was promoted at {number(event.value)}"
            return _because(told, event.why)
    return None


def _worked(log: SqliteLog, record: Record) -> str | None:
    event = record.event
    match event:
        case RolloutEnqueued():
            return _asked_for(log, event)
        case RolloutFinished():
            reward = _reward(log, event.rollout_id)
            earned = f", with reward {number(reward)}" if reward is not None else ", with no reward"
            return f"{event.rollout_id} {event.status} ({event.exit_status}){earned}"
        case RolloutCancelled() | RolloutDeleted():
            return _because(f"{event.rollout_id} was {event.type.partition('.')[2]}", event.why)
        case AttemptStarted():
            return f"worker {event.worker_id} began attempt {event.sequence} at {event.rollout_id} ({event.attempt_id})"
        case AttemptFinished():
            late = ", too late to count" if event.late else ""
            return _because(f"the agent ended {event.attempt_id}: {event.exit_status}{late}", event.error or "")
        case AttemptExpired():
            return _because(f"{event.attempt_id} was given up: {event.exit_status}", event.why)
        case RewardGiven():
            of = "" if event.target.kind == "rollout" else f" {event.target.kind} {event.target.id} of"
            value = f"{event.judge} gave {number(event.value)} as {event.name!r} to{of} {event.rollout_id}"
            evidence = _short(str(dict(event.evidence)), _SHORT) if event.evidence else ""
            gone = log.rows("select 1 from rewards where id = ? and withdrawn = 1", (record.id,))
            return _because(value + (" (withdrawn later)" if gone else ""), evidence)
        case CallRecorded():
            if event.rollout_id:
                who = event.agent or ("the agent" if event.role == "policy" else f"a {event.role}")
                where = f" in {event.rollout_id}"
            else:
                who, where = f"the algorithm of {record.stream.removeprefix('run/')}", ""
            version = "" if event.policy_version is None else f", version {event.policy_version}"
            ended = "" if event.status == "ok" else f": {event.status} ({event.error or 'no reason was recorded'})"
            return f"{who} asked {event.call.model}{version}{where} ({event.call_id}){ended}"
    return None


def _ran(record: Record) -> str | None:
    event = record.event
    match event:
        case RunStarted():
            return (
                f"{event.run_id} was started: algorithm {event.algorithm.name}, agent {event.agent.name}, "
                f"seed {event.seed}, {len(event.train)} train, {len(event.val)} val and {len(event.test)} test tasks"
            )
        case RunFinished():
            return f"{event.run_id} finished: its algorithm came to its end"
        case RunFailed():
            return _because(f"{event.run_id} failed with {event.code}", event.why)
        case RunStopAsked():
            return _because(f"{event.run_id} was asked to stop by {event.by or record.actor}", event.why)
    return None


def _plain(record: Record) -> str:
    event = record.event
    if isinstance(event, Unknown):
        gone = " (its content was erased)" if "erased" in event.data else ""
        return f"{event.name} in {record.stream}{gone}"
    return f"{event.type} in {record.stream}"


def _asked_for(log: SqliteLog, event: RolloutEnqueued) -> str:
    mode = f"{event.mode} " if event.mode else ""
    using = f" with {event.resources_id}@{event.resources_version}" if event.resources_id else ""
    if event.parent:
        return f"{event.rollout_id} was forked from {event.parent}{using}"
    if event.run_id is None:
        return f"{event.rollout_id} was enqueued{using}, by nobody's run"
    sql = "select count(*), min(position), max(position) from rollouts where run_id = ? and grp = ?"
    ((count, first, last),) = log.rows(sql, (event.run_id, event.group))
    if count > 1:
        rest = f"one of {count} {mode}rollouts (positions {first} to {last})"
        return f"{event.rollout_id} was enqueued by {event.run_id}{using}, {rest}"
    return f"{event.rollout_id} was enqueued by {event.run_id}{using}, a {mode}rollout"


def _round(log: SqliteLog, record: Record, event: OutcomesRead) -> str:
    group = found.group(log, record)
    if group is None:
        return "its rollouts"
    from agl_core.store import Queries

    key, count, first, last = group
    sql = (
        "select rollout_id, mode, resources_id || '@' || resources_version from rollouts "
        "where run_id = ? and grp = ? and position < ? order by position"
    )
    rows = log.rows(sql, (event.run_id, key, record.position))
    ids = [id_ for id_, *_ in rows]
    outcomes = Queries(log).outcomes(ids, dict.fromkeys(ids), as_of=max(event.as_of, last))
    mean = _mean((one.task_id, one.reward) for one in outcomes)
    using = f" with {rows[0][2]}" if rows[0][2] else ""
    places = f"position {first}" if first == last else f"positions {first} to {last}"
    return f"{count} {rows[0][1] or ''} rollouts{using} ({places}){mean}".replace("  ", " ")


def _earned(log: SqliteLog, record: Record, version: tuple[str, int]) -> str:
    """What was known of a version then, on the split that tells most."""
    from agl_core.cli._resources_earned import SPLITS
    from agl_core.store import Queries

    sql = (
        "select mode, rollout_id from rollouts where resources_id = ? and resources_version = ? and position < ? "
        "and hidden = 0"
    )
    by_mode: dict[str, list[str]] = {}
    for mode, rollout_id in log.rows(sql, (*version, record.position)):
        by_mode.setdefault(mode, []).append(rollout_id)
    for mode in SPLITS:
        if ids := by_mode.get(mode):
            outcomes = Queries(log).outcomes(ids, dict.fromkeys(ids), as_of=record.position)
            if mean := _mean((one.task_id, one.reward) for one in outcomes):
                return f"{mean} of {mode}"
    return ""


def _mean(rewards: Iterable[tuple[str, float | None]]) -> str:
    by_task: dict[str, list[float]] = {}
    for task, reward in rewards:
        if reward is not None:
            by_task.setdefault(task, []).append(reward)
    means = [sum(one) / len(one) for one in by_task.values()]
    return f", its mean {number(sum(means) / len(means))} on {len(means)} tasks" if means else ""


def _reward(log: SqliteLog, rollout_id: str) -> float | None:
    from agl_core.store import Queries

    return Queries(log).outcomes([rollout_id], {rollout_id: None})[0].reward


def _answer(result: Any) -> str:
    text = result.get("text") if isinstance(result, dict) else result
    return _short(repr(text), _SHORT) if isinstance(text, str) and text else ""


def _because(what: str, why: str) -> str:
    return f"{what}: {_short(why, 2 * _SHORT)}" if why else what


def _some(ids: tuple[str, ...]) -> str:
    shown = ", ".join(ids[:2])
    return f"{len(ids)} rollouts ({shown}{', ...' if len(ids) > 2 else ''})"


def _short(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 4]} ..."
