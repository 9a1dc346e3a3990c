"""Trajectories of ATIF, the format that Harbor, NeMo Gym and others exchange: a file, or a folder of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from agl_core.errors import AglError, ImportRefused
from agl_core.events import CallRecorded, ExitStatus, RewardGiven, SpanRecorded, Target
from agl_core.importing._atif_schema import Unfit, checked
from agl_core.importing._atif_steps import Chat, chat
from agl_core.importing._lines import bad, opened
from agl_core.importing._story import Making, Reading, Story, digest, exit_status, mode
from agl_core.record import Draft
from agl_core.spans._attributes import at
from agl_core.wire import json_object

__all__ = ["FORMAT", "read"]

FORMAT = "atif"
_KINDS: Mapping[str, Literal["call", "span", "agent"]] = {"call": "call", "span": "span", "agent": "agent"}


def read(path: Path, *, run_id: str) -> Reading:
    """A story a file: `path` itself, or every `trajectory*.json` below it.

    Its rewards are those of `extra`, and of the `result.json` that Harbor puts beside it.
    """
    files = sorted(path.rglob("trajectory*.json")) if path.is_dir() else [path]
    if not files:
        raise ImportRefused(str(path), why="no trajectory*.json is in it", cure="Name the folder that holds them")
    for file in files:
        where = str(file.relative_to(path)) if path.is_dir() else file.name
        try:
            with opened(file) as opened_file:
                trajectory = checked(json_object(opened_file.read()))
            said = digest(trajectory)
            name = trajectory.get("trajectory_id") or said
            making = Making(FORMAT, name, run_id=run_id, digest=said)
            yield Story(where=where, drafts=tuple(_told(making, trajectory, _result(file))), digest=said)
        except (AglError, Unfit, ValueError) as error:
            yield bad(where, str(error))


def _told(making: Making, trajectory: Mapping[str, Any], result: Mapping[str, Any]) -> Iterator[Draft]:
    extra = trajectory.get("extra") or {}
    own = extra.get("agl")
    own = own if isinstance(own, dict) else {}
    attempt_id = making.attempt_id()
    threads = list(_Threads(making, attempt_id).all(trajectory))
    times = [moment for thread in threads for moment in thread.chat.times if moment]
    began, ended = (min(times), max(times)) if times else (None, None)
    end = exit_status(own.get("exit_status")) or _exit(result)
    metadata = own.get("metadata")
    yield making.enqueued(
        own["task"] if "task" in own else _task(trajectory),
        at=began,
        mode=mode(own.get("mode")),
        metadata=metadata if isinstance(metadata, dict) else {},
        group=own.get("group") if isinstance(own.get("group"), str) else None,
        repeat=repeat if type(repeat := own.get("repeat")) is int else 0,
    )
    yield making.started(attempt_id, at=began)
    ids: dict[str, str] = {}
    for thread in threads:
        ids |= thread.ids
        yield from thread.drafts()
    for number, reward in enumerate(_rewards(making, attempt_id, extra, result, ids)):
        yield making.draft(reward, f"reward-{number}-{reward.name}", at=ended)
    yield making.ended(attempt_id, end, at=ended)
    yield making.finished(attempt_id, end, at=ended)


class _Thread:
    """A trajectory in a file: the one it is, or that of a sub-agent."""

    def __init__(
        self,
        making: Making,
        attempt_id: str,
        trajectory: Mapping[str, Any],
        *,
        path: str,
        parent: tuple[str, str] | None,
    ) -> None:
        self.chat: Chat = chat(trajectory)
        self._making, self._attempt_id, self._trajectory, self._path = making, attempt_id, trajectory, path
        self._parent = parent
        self.span_id = digest([making.rollout_id, path])[:16]
        self.ids: dict[str, str] = {}
        """What the source calls its calls, to what they are called here."""
        self.steps: dict[int, str] = {}
        for turn in self.chat.turns:
            number = turn.step["step_id"]
            own = at(turn.step, "extra", "agl", "call_id")
            call_id = making.call_id(attempt_id, f"{path}{number}")
            self.steps[number] = call_id
            self.ids[own if isinstance(own, str) else f"{path}{number}"] = call_id

    def drafts(self) -> Iterator[Draft]:
        name = self._trajectory["agent"]["name"]
        for turn in self.chat.turns:
            event = CallRecorded(
                call_id=self.steps[turn.step["step_id"]],
                rollout_id=self._making.rollout_id,
                attempt_id=self._attempt_id,
                call=turn.call,
                agent=name,
                parent_call_id=self._parent[0] if self._parent else None,
                policy_version=turn.policy_version,
                started_at=turn.at,
                latency=0.0,
            )
            yield self._making.draft(event, f"call-{event.call_id}", at=turn.at or None)
        yield self._making.draft(self._span(name), f"span/{self._attempt_id}/{self.span_id}")

    def _span(self, name: str) -> SpanRecorded:
        """The agent at work; and what the trajectory says that no call has a word for."""
        began, ended = self.chat.times
        root = {
            key: value
            for key, value in self._trajectory.items()
            if key not in {"steps", "subagent_trajectories"} and value is not None
        }
        return SpanRecorded(
            rollout_id=self._making.rollout_id,
            attempt_id=self._attempt_id,
            span_id=self.span_id,
            parent_id=self._parent[1] if self._parent else None,
            name=f"invoke_agent {name}",
            attributes={
                "agl.span.kind": "agent",
                "gen_ai.agent.name": name,
                "atif.trajectory": root,
                "atif.steps": self.chat.beside,
                "atif.tail": self.chat.tail,
                "atif.calls": list(self.steps.values()),
                "atif.count": len(self._trajectory["steps"]) - len(self.chat.tail),
            },
            status="ok",
            agent=name,
            started_at=began,
            ended_at=ended,
        )


class _Threads:
    """All trajectories in a file."""

    def __init__(self, making: Making, attempt_id: str) -> None:
        self._making, self._attempt_id = making, attempt_id

    def all(
        self, trajectory: Mapping[str, Any], *, path: str = "", parent: tuple[str, str] | None = None
    ) -> Iterator[_Thread]:
        """The outer one first; one of a sub-agent names the call and the span that asked for it."""
        thread = _Thread(self._making, self._attempt_id, trajectory, path=path, parent=parent)
        yield thread
        called = {name: thread.steps.get(number) for number, name in _handed(trajectory)}
        for inner in trajectory.get("subagent_trajectories") or ():
            name = inner["trajectory_id"]
            above = called.get(name) or next(iter(thread.steps.values()), "")
            yield from self.all(inner, path=f"{path}{name}/", parent=(above, thread.span_id))


def _handed(trajectory: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Steps, and the trajectories of sub-agents that they name."""
    for step in trajectory["steps"]:
        for result in (step.get("observation") or {}).get("results", ()):
            for ref in result.get("subagent_trajectory_ref") or ():
                if ref.get("trajectory_id"):
                    yield step["step_id"], ref["trajectory_id"]


def _task(trajectory: Mapping[str, Any]) -> dict[str, Any]:
    """What was said before the agent said anything."""
    given = []
    for step in trajectory["steps"]:
        if step["source"] == "agent":
            break
        given.append({"role": step["source"], "content": step["message"]})
    return {"messages": given}


def _rewards(
    making: Making, attempt_id: str, extra: Mapping[str, Any], result: Mapping[str, Any], ids: Mapping[str, str]
) -> Iterator[RewardGiven]:
    found = extra.get("rewards", extra.get("reward"))
    if found is None:
        found = at(result, "verifier_result", "rewards")
    stated: list[Any] = []
    match found:
        case list():
            stated = found
        case dict():
            # Harbor's own is called `reward`: the one that trains.
            named = {"primary" if name == "reward" else name: value for name, value in found.items()}
            stated = [{"name": name, "value": value} for name, value in named.items()]
        case int() | float():
            stated = [{"name": "primary", "value": found}]
    for one in stated:
        value = one.get("value") if isinstance(one, dict) else one
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise Unfit(f"extra.rewards holds {one!r}: a reward is a finite number")
        said = one if isinstance(one, dict) else {}
        yield RewardGiven(
            rollout_id=making.rollout_id,
            attempt_id=attempt_id,
            target=_target(making, said.get("target"), ids),
            value=float(value),
            name=str(said.get("name") or "primary"),
            judge=str(said.get("judge") or "atif"),
        )


def _target(making: Making, said: Any, ids: Mapping[str, str]) -> Target:
    whole = Target(kind="rollout", id=making.rollout_id)
    kind = _KINDS.get(str(at(said, "kind")))
    if kind is None:
        return whole
    named = str(said.get("id"))
    return Target(kind=kind, id=ids.get(named, named))


def _result(file: Path) -> Mapping[str, Any]:
    """What Harbor wrote of the trial: beside the trajectory, or above the folder `agent` that it lies in."""
    folder = file.parent.parent if file.parent.name == "agent" else file.parent
    try:
        found = json.loads((folder / "result.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _exit(result: Mapping[str, Any]) -> ExitStatus:
    raised = result.get("exception_info")
    if not isinstance(raised, dict):
        return "completed"
    return "timeout" if "Timeout" in str(raised.get("exception_type")) else "agent_raised"
