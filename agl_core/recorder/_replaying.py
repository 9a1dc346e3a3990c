"""What a replay has for the code of the attempt that it runs again: a tool asks it what it came to then."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agl_core.errors import ReplayError

__all__ = ["Replaying", "ToolAnswer", "ToolAsked", "ToolWay"]

ToolWay = Literal["recorded", "pure", "live"]
"""What a tool does in a replay: give what is recorded, run and be compared with it, or run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAsked:
    """A tool that is called in a replay."""

    name: str
    way: ToolWay
    """As the tool declares it; the replay may have been told otherwise."""
    said: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of its span as far as they are known before it runs: its name, its arguments, what led to it."""
    call_id: str | None = None
    """The model call of the replay that led to it, if one is certain."""
    place: str | None = None
    """The branch of concurrent work that it is called in; null where that is a matter of chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolAnswer:
    """What a tool is to do now."""

    way: ToolWay
    span_id: str | None = None
    """The recorded call that it is; null of one that runs without being compared."""
    said: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of that call's span."""


class Replaying(Protocol):
    """The replay under way. Its methods are called from any thread, and from any task."""

    is_timed: bool
    """Whether time-outs of the agent's clients hold: not where somebody looks at each call before it is answered."""
    departed: Future[None]
    """Fails, once, with why the agent does not do what it did then: it is stopped there, whatever it does with that."""

    def tool(self, asked: ToolAsked) -> ToolAnswer:
        """Which of the recorded calls this is; `ReplayError` where it is none, or may be several."""
        ...

    def compared(self, asked: ToolAsked, answer: ToolAnswer, came: Mapping[str, Any]) -> None:
        """`ReplayDiffers` where a tool that ran again, with these attributes, came to something else."""
        ...

    def depart(self, error: ReplayError) -> None:
        """It is not true any more, for that reason: it stops, whatever the agent makes of the error."""
        ...
