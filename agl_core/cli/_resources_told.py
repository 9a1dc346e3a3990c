"""What the log knows of versions: what each is, what made it, what it earned, and whether it counts as the best."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agl_core.cli._resources_earned import earned, headline
from agl_core.cli._resources_meant import named
from agl_core.cli._words import iso
from agl_core.errors import BadValue, MissingExtra

if TYPE_CHECKING:
    from agl_core.log import SqliteLog
    from agl_core.resources import ResourcesUpdate
    from agl_core.store import Promotion

__all__ = ["REJECTED", "listed", "told"]

_NOW, _BEFORE = "now", "before"
REJECTED = "candidate.rejected"
"""The step in which an algorithm writes down what it did not publish: its parent, the text, and the reason."""
_LIST = """
select resources_id, version, run_id, parent, why, data, created_at
from resources
where ? is null or run_id = ?
order by position desc
limit ?
"""
_SECOND = 1_000_000_000


def listed(log: SqliteLog, *, run_id: str | None, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Versions, newest first, so many of them; and how many there are."""
    rows = log.rows(_LIST, (run_id, run_id, limit or -1))
    scores = earned(log, [(id_, version) for id_, version, *_ in rows])
    marks = _marks(log)
    found = [
        {
            "resources_id": id_,
            "version": version,
            "run_id": run,
            "parent": parent,
            "promoted": marks.get(f"{id_}@{version}"),
            "names": sorted(json.loads(data)),
            "why": why,
            "earned": headline(scores[id_, version]),
            "created_at": iso(created),
        }
        for id_, version, run, parent, why, data, created in rows
    ]
    total = log.rows("select count(*) from resources where ? is null or run_id = ?", (run_id, run_id))[0][0]
    return found, total


def told(log: SqliteLog, bundle: ResourcesUpdate) -> dict[str, Any]:
    """All of one version."""
    from agl_core.resources import dump
    from agl_core.store import Queries

    ask = Queries(log)
    chain = ask.lineage(bundle)
    beside = _beside(log, [named(one) for one in chain])
    scores = earned(log, [*((one.resources_id, one.version) for one in chain), *beside])
    own = scores[bundle.resources_id, bundle.version]
    marks, declared = _marks(log), _declared(ask.promotions(resources_id=bundle.resources_id))
    run_id = _publisher(log, bundle)
    return {
        "resources_id": bundle.resources_id,
        "version": bundle.version,
        "run_id": run_id,
        "parent": bundle.parent,
        "why": bundle.why,
        "created_at": _moment(bundle.create_time),
        "promoted": marks.get(named(bundle)),
        "promotion": declared.get(named(bundle)),
        "resources": {name: dump(resource) for name, resource in bundle.resources.items()},
        "placeholders": _placeholders(bundle),
        "earned": [one.to_json() for one in own],
        "examination": _examination(log, run_id),
        "lineage": [
            {
                "name": named(one),
                "why": one.why,
                "promoted": marks.get(named(one)),
                "earned": headline(scores[one.resources_id, one.version]),
                "created_at": _moment(one.create_time),
            }
            for one in chain
        ],
        "tried": [
            {"name": f"{id_}@{version}", **facts, "earned": headline(scores[id_, version])}
            for (id_, version), facts in beside.items()
        ],
        "rejected": [*_rejected(log, run_id, {named(one) for one in chain})],
        "rollouts": [
            {
                "rollout_id": outcome.rollout_id, "mode": one.mode, "task_id": outcome.task_id,
                "reward": outcome.reward, "masked": outcome.mask,
            }
            for one in own
            for outcome in one.outcomes
        ],
    }  # fmt: skip


def _placeholders(bundle: ResourcesUpdate) -> dict[str, list[str] | None]:
    """What each prompt wants filled in; null of one that cannot be read here."""
    from agl_core.resources import PromptTemplate

    found: dict[str, list[str] | None] = {}
    for name, resource in bundle.resources.items():
        if isinstance(resource, PromptTemplate):
            try:
                found[name] = sorted(resource.placeholders)
            except (BadValue, MissingExtra):
                found[name] = None
    return found


def _marks(log: SqliteLog) -> dict[str, str]:
    """Version to `now`, if it is what its run promoted last (its bundle, outside of runs), else to `before`."""
    from agl_core.store import Queries

    found = Queries(log).promotions()
    last = {one.run_id or one.resources_id: one.name for one in found}
    return {**{one.name: _BEFORE for one in found}, **dict.fromkeys(last.values(), _NOW)}


def _declared(found: Sequence[Promotion]) -> dict[str, dict[str, Any]]:
    """Version to who declared it the best last, and why."""
    return {
        one.name: {"at": _moment(one.time), "why": one.why, "by": one.by or one.actor, "run_id": one.run_id}
        for one in found
    }


def _publisher(log: SqliteLog, bundle: ResourcesUpdate) -> str | None:
    sql = "select run_id from resources where resources_id = ? and version = ?"
    run_id: str | None = log.rows(sql, (bundle.resources_id, bundle.version))[0][0]
    return run_id


def _examination(log: SqliteLog, run_id: str | None) -> Mapping[str, Any] | None:
    """Of a run that opened its sealed split: what both sides of the comparison earned, and the difference."""
    found = log.rows("select result from runs where run_id = ? and result is not null", (run_id,)) if run_id else []
    result = json.loads(found[0][0]) if found else {}
    if not isinstance(result.get("difference"), dict):
        return None
    return {name: result[name] for name in ("reward_before", "reward_after", "difference", "masked") if name in result}


def _beside(log: SqliteLog, chain: Sequence[str]) -> dict[tuple[str, int], dict[str, Any]]:
    """Versions that were derived from these, and are none of them: what each came from, and why it was tried."""
    sql = """
    select resources_id, version, parent, why from resources
    where parent in (select value from json_each(?1))
      and resources_id || '@' || version not in (select value from json_each(?1))
    order by position
    """
    rows = log.rows(sql, (json.dumps(chain),))
    return {(id_, version): {"parent": parent, "why": why} for id_, version, parent, why in rows}


def _rejected(log: SqliteLog, run_id: str | None, parents: Collection[str]) -> Iterator[dict[str, Any]]:
    """What was derived from these, and was never published."""
    from agl_core.events import StepRecorded

    for record in log.read(stream=f"run/{run_id}", types=[StepRecorded.type]) if run_id else ():
        match record.event:
            case StepRecorded(label=label, result={"parent": str(parent), "reason": reason, **facts}) if (
                label == REJECTED and parent in parents
            ):
                told = {name: facts.get(name) for name in ("detail", "why", "text")}
                yield {"parent": parent, "reason": reason, **told}


def _moment(seconds: float) -> str | None:
    return iso(round(seconds * _SECOND))
