"""What a trajectory of ATIF may look like, versions 1.0 to 1.8: checked whole before anything of it is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

__all__ = ["VERSIONS", "Unfit", "checked"]

VERSIONS = tuple(f"ATIF-v1.{minor}" for minor in range(9))
_AGENTS = ("model_name", "reasoning_effort", "reasoning_content", "tool_calls", "metrics")
"""Fields of a step that only an agent's may have."""
_Extra = dict[str, Any] | None


class Unfit(ValueError):
    """It is no such trajectory; the text says where, and why."""


class _Known(msgspec.Struct, forbid_unknown_fields=True):
    """What ATIF forbids to add to: `extra` is for that."""


class _Source(_Known):
    media_type: str
    path: str
    duration_sec: float | None = None


class _Part(_Known):
    type: Literal["text", "image", "audio"]
    text: str | None = None
    source: _Source | None = None


_Content = str | list[_Part]


class _Ref(_Known):
    trajectory_id: str | None = None
    trajectory_path: str | None = None
    session_id: str | None = None
    extra: _Extra = None


class _Result(_Known):
    source_call_id: str | None = None
    content: _Content | None = None
    subagent_trajectory_ref: list[_Ref] | None = None
    extra: _Extra = None


class _Observation(_Known):
    results: list[_Result]


class _ToolCall(_Known):
    tool_call_id: str
    function_name: str
    arguments: dict[str, Any]
    extra: _Extra = None


class _Metrics(_Known):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cost_usd: float | None = None
    prompt_token_ids: list[int] | None = None
    completion_token_ids: list[int] | None = None
    logprobs: list[float] | None = None
    extra: _Extra = None


class _Step(_Known):
    step_id: int
    source: Literal["system", "user", "agent"]
    message: _Content
    timestamp: str | None = None
    model_name: str | None = None
    reasoning_effort: str | float | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None
    observation: _Observation | None = None
    metrics: _Metrics | None = None
    is_copied_context: bool | None = None
    llm_call_count: int | None = None
    extra: _Extra = None


class _Agent(_Known):
    name: str
    version: str
    model_name: str | None = None
    tool_definitions: list[dict[str, Any]] | None = None
    extra: _Extra = None


class _Totals(_Known):
    total_prompt_tokens: int | None = None
    total_completion_tokens: int | None = None
    total_cached_tokens: int | None = None
    total_cost_usd: float | None = None
    total_steps: int | None = None
    extra: _Extra = None


class _Trajectory(_Known):
    schema_version: str
    agent: _Agent
    steps: list[_Step]
    session_id: str | None = None
    trajectory_id: str | None = None
    notes: str | None = None
    final_metrics: _Totals | None = None
    continued_trajectory_ref: str | None = None
    extra: _Extra = None
    subagent_trajectories: list[dict[str, Any]] | None = None


def checked(said: Mapping[str, Any], *, place: str = "") -> Mapping[str, Any]:
    """`said`, if it is a trajectory that we can read, those of sub-agents in it included."""
    version = said.get("schema_version")
    if version not in VERSIONS:
        raise Unfit(f"{place}schema_version is {version!r}: {VERSIONS[0]} to {VERSIONS[-1]} can be read")
    try:
        read = msgspec.convert(said, _Trajectory)
    except msgspec.ValidationError as error:
        raise Unfit(f"{place}{error}") from None
    for number, step in enumerate(read.steps, start=1):
        _check(step, number, f"{place}step {number}")
    if not read.steps:
        raise Unfit(f"{place}steps is empty")
    names: set[str | None] = {None}
    for number, inner in enumerate(said.get("subagent_trajectories") or ()):
        inside = f"{place}subagent_trajectories[{number}]: "
        if inner.get("trajectory_id") in names:
            raise Unfit(f"{inside}its trajectory_id is missing, or another one has it")
        names.add(inner["trajectory_id"])
        checked(inner, place=inside)
    return said


def _check(step: _Step, number: int, where: str) -> None:
    if step.step_id != number:
        raise Unfit(f"{where}: step_id is {step.step_id}; steps are numbered from 1, one by one")
    if step.source != "agent" and (found := [name for name in _AGENTS if getattr(step, name) is not None]):
        raise Unfit(f"{where}: {', '.join(found)} may stand on a step of an agent only")
    if step.timestamp is not None:
        try:
            datetime.fromisoformat(step.timestamp)
        except ValueError:
            raise Unfit(f"{where}: timestamp {step.timestamp!r} is not ISO 8601") from None
    wished = {call.tool_call_id for call in step.tool_calls or ()}
    for result in step.observation.results if step.observation else ():
        if result.source_call_id is not None and result.source_call_id not in wished:
            raise Unfit(f"{where}: a result names {result.source_call_id!r}, which is none of its tool calls")
