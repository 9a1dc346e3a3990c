"""One nested trace for every adapter: an agent that works in turns, each with a tool, a model call and its reward.

Standard library only. A turn is four spans: an agent, and in it a tool, a call of 25 attributes and some 3 KB, and a
reward. Turns hang in a session, one after the other: the shape on which the goals were set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bench._workload import Call, calls

__all__ = ["NANOSECONDS", "Step", "rewarded", "steps"]

NANOSECONDS = 1_000_000_000
_TURN = 16
"""Seconds from one turn to the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A span, in plain values. Times are whole seconds since the epoch."""

    id: str
    parent: str | None
    name: str
    began: int
    ended: int
    attributes: dict[str, Any]
    agent: str | None = None
    """Who made the call."""
    call: Call | None = None
    reward: float | None = None


def steps(count: int) -> list[Step]:
    """So many spans, in the order they began; the same for whoever asks again."""
    return list(islice(_steps(count), count))


def rewarded(found: list[Step]) -> int:
    """Calls in it that a reward comes after: each has one of its own."""
    return sum(step.reward is not None for step in found)


def _steps(count: int) -> Iterator[Step]:
    said = calls(count // 4 + 1)
    yield Step(id=_id(0), parent=None, name="session", began=0, ended=_TURN * (count + 1), attributes={})
    for turn, call in enumerate(said):
        number, began = 4 * turn + 1, _TURN * turn + 1
        agent, around = ("planner", "worker")[turn % 2], _id(number)
        yield Step(
            id=around,
            parent=_id(0),
            name=agent,
            began=began,
            ended=began + 14,
            attributes={"agent.name": agent, "agentops.span.kind": "agent"},
        )
        tool = {"tool.name": "look", "tool.parameters": '{"what": "it"}', "tool.result": "seen"}
        yield Step(id=_id(number + 1), parent=around, name="tool", began=began + 1, ended=began + 2, attributes=tool)
        yield Step(
            id=_id(number + 2),
            parent=around,
            name="openai.chat.completion",
            began=began + 3,
            ended=began + 4,
            attributes=call.attributes(),
            agent=agent,
            call=call,
        )
        value = round(1 / (turn + 1), 6)
        yield Step(
            id=_id(number + 3),
            parent=around,
            name="agentlightning.annotation",
            began=began + 5,
            ended=began + 5,
            attributes={"agentlightning.reward.0.name": "primary", "agentlightning.reward.0.value": value},
            reward=value,
        )


def _id(number: int) -> str:
    return f"{number + 1:016x}"
