"""The tool calls of an attempt, as a log remembers them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agl_core.emit import tool_words as words
from agl_core.emit.semconv import ToolAttributes
from agl_core.events import SpanRecorded
from agl_core.log import EventLog
from agl_core.recorder import ToolWay

__all__ = ["ToolTape", "ToolTaped", "came_as", "given_as"]

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTaped:
    """A recorded call of a tool."""

    span: SpanRecorded
    inside: tuple[str, ...] = ()
    """The spans it was done in, the innermost first."""

    @property
    def span_id(self) -> str:
        """Its id, in the log that has it."""
        return self.span.span_id

    @property
    def said(self) -> Mapping[str, Any]:
        """All that was told of it."""
        return self.span.attributes

    @property
    def name(self) -> str:
        """The tool."""
        return str(self.said.get(words.NAME))

    @property
    def way(self) -> ToolWay:
        """What it was declared to do in a replay."""
        said = self.said.get(ToolAttributes.REPLAY)
        return "live" if said == "live" else "pure" if said == "pure" else "recorded"

    @property
    def call_id(self) -> str | None:
        """The model call that led to it."""
        return _text(self.said.get(ToolAttributes.CALL))

    @property
    def place(self) -> str | None:
        """The branch of concurrent work that it was called in."""
        return _text(self.said.get(ToolAttributes.PLACE))

    @property
    def strand(self) -> str | None:
        """What ran there one step after the other, where there is no place."""
        return _text(self.said.get(ToolAttributes.STRAND))


@dataclass(frozen=True, slots=True)
class ToolTape:
    """What the tools of one attempt were given and came to, in the order they began."""

    calls: tuple[ToolTaped, ...] = ()

    @classmethod
    def of(cls, log: EventLog, rollout_id: str, attempt_id: str, *, until: int | None = None) -> ToolTape:
        """Read it, as the log is or as it was at position `until`; a tool that is not marked is none."""
        story = log.read(stream=f"rollout/{rollout_id}", until=until)
        return cls.among(
            record.event
            for record in story
            if isinstance(record.event, SpanRecorded) and record.event.attempt_id == attempt_id
        )

    @classmethod
    def among(cls, spans: Iterable[SpanRecorded]) -> ToolTape:
        """Those of an attempt's spans that tell of a tool."""
        all_ = list(spans)
        parents = {span.span_id: span.parent_id for span in all_}
        tools = [span for span in all_ if ToolAttributes.REPLAY in span.attributes]
        tools.sort(key=lambda span: span.started_at)
        return cls(tuple(ToolTaped(span=span, inside=tuple(_inside(span, parents))) for span in tools))


def given_as(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a tool is given, as plain values; arguments that are none do not count."""
    told = words.read(said.get(words.ARGUMENTS))
    untold = said.get(ToolAttributes.UNTOLD) or ()
    if isinstance(told, Mapping):
        told = {name: value for name, value in told.items() if name not in untold}
    return {"arguments": told}


def came_as(said: Mapping[str, Any]) -> dict[str, Any]:
    """What came of a tool, likewise."""
    kind, told = said.get(ToolAttributes.RESULT), said.get(words.RESULT)
    found: dict[str, Any] = {}
    if kind is not None:
        # What could not be kept is compared as it was told, wherever the object lay.
        value = _ADDRESS.sub("", str(told)) if kind == "untold" else told if kind == "text" else words.read(told)
        found |= {"kind": kind, "result": value}
    if said.get(ToolAttributes.LEFT):
        found["left"] = True
    if "exception.type" in said:
        found["exception"] = {name: said.get(f"exception.{name}") for name in ("type", "message")}
    return found


def _inside(span: SpanRecorded, parents: Mapping[str, str | None]) -> Iterator[str]:
    seen = {span.span_id}
    parent = span.parent_id
    while parent is not None and parent not in seen:
        yield parent
        seen.add(parent)
        parent = parents.get(parent)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
