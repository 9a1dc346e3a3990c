"""ATIF 1.8, the trajectories that Harbor, NeMo Gym and others exchange: a `trajectory.json` an attempt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from agl_core.adapter import Trace
from agl_core.export._exporter import Exported, Skipped
from agl_core.export.rows._atif_threads import Thread, threads
from agl_core.export.rows._places import new_folder
from agl_core.export.rows._records import Tally

__all__ = ["Atif", "trajectory"]

_VERSION = "ATIF-v1.8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Atif:
    """`ROLLOUT/trajectory.json`: steps with token ids where they are known; the rewards are in `extra`."""

    name: ClassVar[str] = "atif"
    help: ClassVar[str] = "ATIF 1.8: a trajectory.json of each attempt, with token ids, log-probabilities and rewards."
    suffixes: ClassVar[tuple[str, ...]] = ()
    adapter: ClassVar[str] = "attempts"
    options: ClassVar[Mapping[str, Any]] = {}

    def write(self, rows: Iterable[Trace], path: Path) -> Exported:
        """A folder of them."""
        tally = Tally()
        with new_folder(path) as folder:
            for made in tally(map(trajectory, rows)):
                place = folder / made["extra"]["agl"]["rollout_id"]
                place.mkdir()
                (place / "trajectory.json").write_bytes(msgspec.json.encode(made))
        return tally.exported(path)


def trajectory(trace: Trace) -> dict[str, Any] | Skipped:
    """What the attempt did, and what it earned; agents that were asked by another lie inside.

    Of calls that failed, and of those of judges, there is only the number: they are no turn of an agent.
    """
    found = list(threads(trace))
    if not found:
        return Skipped(reason="no_calls")
    outer, *others = found
    own = {
        "rollout_id": trace.rollout_id,
        "attempt_id": trace.attempt_id,
        "run_id": trace.run_id,
        "task_id": trace.task_id,
        "task": trace.input,
        "mode": trace.mode,
        "status": trace.status,
        "exit_status": trace.exit_status,
        "group": trace.group,
        "repeat": trace.repeat,
        "metadata": {name: value for name, value in trace.metadata.items() if name != "import"},
        "failed_calls": sum(call.status != "ok" for call in trace.calls if call.role == "policy"),
        "other_calls": sum(call.role != "policy" for call in trace.calls),
    }
    made = _document(outer, trace.attempt_id)
    made["extra"] = {
        **(made.get("extra") or {}),
        **_rewards(trace),
        "agl": {name: value for name, value in own.items() if value not in (None, {}, 0) or name == "task"},
    }
    if outer.span_id is None:
        made["session_id"] = trace.run_id or trace.rollout_id
    _embed(made, outer, others, trace.attempt_id)
    return made


def _document(thread: Thread, name: str) -> dict[str, Any]:
    models = {step["model_name"] for step in thread.steps if step.get("model_name")}
    agent: dict[str, Any] = {"name": thread.agent or "agent", "version": "unknown"}
    if len(models) == 1:
        agent["model_name"] = models.pop()
    if thread.tools:
        agent["tool_definitions"] = thread.tools
    document = {"trajectory_id": name, "agent": agent, "steps": thread.steps, **thread.root, "schema_version": _VERSION}
    if thread.span_id is None and (totals := _totals(thread)):
        document["final_metrics"] = totals
    return document


def _totals(thread: Thread) -> dict[str, int]:
    metrics = [step["metrics"] for step in thread.steps if "metrics" in step]
    said = {
        f"total_{name}": sum(one.get(name) or 0 for one in metrics) for name in ("prompt_tokens", "completion_tokens")
    }
    return {**said, "total_steps": len(thread.steps)} if metrics else {}


def _embed(made: dict[str, Any], outer: Thread, others: Iterable[Thread], attempt_id: str) -> None:
    """Put the trajectories of other agents where they were asked for; of what nobody asked for, at the outermost."""
    documents = {outer.span_id: made} if outer.span_id else {}
    for number, thread in enumerate(others, start=1):
        document = _document(thread, f"{attempt_id}-{number}")
        if thread.span_id:
            documents[thread.span_id] = document
        above = documents.get(thread.parent_id or "", made)
        above.setdefault("subagent_trajectories", []).append(document)
        if thread.asked_by is not None and thread.span_id is None:
            _refer(thread.asked_by, document["trajectory_id"])


def _refer(step: dict[str, Any], name: str) -> None:
    results = step.setdefault("observation", {"results": []})["results"]
    results.append({"subagent_trajectory_ref": [{"trajectory_id": name}]})


def _rewards(trace: Trace) -> dict[str, Any]:
    given = [reward.given for reward in trace.rewards]
    if not given:
        return {}
    listed = [
        {
            "name": one.name,
            "value": one.value,
            "judge": one.judge,
            "target": {"kind": one.target.kind, "id": one.target.id},
        }
        for one in given
    ]
    return {**({} if trace.reward is None else {"reward": trace.reward}), "rewards": listed}
