"""A trace of ours as OpenTelemetry's: the attempt, its calls and its spans, with ids that are the same each time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agl_core.events import CallRecorded, RewardGiven, SpanRecorded
from agl_core.export.otlp._words import call_attributes, call_name, evaluation, evaluations
from agl_core.spans import meaning, plain
from agl_core.spans.context import root_of, traceparent

if TYPE_CHECKING:
    from agl_core.projections import Trace

__all__ = ["Told", "told"]

_SECOND = 1_000_000_000
_STATUS = {"unset": 0, "ok": 1, "error": 2}
_KIND = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A span, ready to be written: ids are hexadecimal, times nanoseconds, kind and status OTLP's numbers."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    kind: int
    started_at: int
    ended_at: int
    attributes: Mapping[str, Any]
    events: tuple[tuple[str, int, Mapping[str, Any]], ...] = ()
    status: int = 0
    status_message: str = ""
    resource: Mapping[str, Any] = field(default_factory=dict)


def told(
    trace: Trace,
    *,
    run_id: str | None = None,
    resource: Mapping[str, Any] | None = None,
    content: bool = True,
    token_ids: bool = False,
    at: tuple[int, int] = (0, 0),
) -> list[Told]:
    """The spans of an attempt: its own, then those it holds, in the order they began.

    `at` is when the attempt began and ended, in nanoseconds. A span that stands for a call on the wire is told once, as
    the call. Without `content`, nothing that a model, a tool or a task said goes along; token ids do when asked for.
    """
    return list(_Telling(trace, run_id, dict(resource or {}), content=content, token_ids=token_ids, at=at).spans())


class _Telling:
    def __init__(
        self,
        trace: Trace,
        run_id: str | None,
        resource: dict[str, Any],
        *,
        content: bool,
        token_ids: bool,
        at: tuple[int, int],
    ) -> None:
        self._trace, self._run_id, self._at = trace, run_id, at
        self._content, self._token_ids = content, token_ids
        named = traceparent(trace.attempt_id)
        self._trace_id = named.split("-")[1] if named else _hex(trace.attempt_id, 16)
        self._root = root_of(trace.attempt_id) or _hex(trace.attempt_id, 8)
        self._resource = {
            "service.name": "agl",
            "agl.run.id": run_id,
            "agentlightning.rollout_id": trace.rollout_id,
            "agentlightning.attempt_id": trace.attempt_id,
            **resource,
        }
        seen = {call.call.response_id for call in trace.calls if call.call.response_id}
        meanings = {span.span_id: meaning(span) for span in trace.spans}
        self._as_call = {
            span.span_id: said.response_id
            for span in trace.spans
            if (said := meanings[span.span_id]).kind == "model_call" and said.response_id in seen
        }
        """Spans that stand for a call that the wire saw too."""
        self._spans = {span.span_id: span for span in trace.spans}
        self._around = [span for span in trace.spans if meanings[span.span_id].kind != "model_call"]
        self._rewards: dict[str, list[RewardGiven]] = {}
        of = self._spans.keys() - self._as_call.keys() | {call.call_id for call in trace.calls}
        for reward in trace.rewards:
            target = reward.given.target.id
            self._rewards.setdefault(target if target in of else "", []).append(reward.given)

    def spans(self) -> Iterator[Told]:
        """The attempt, then what is in it."""
        inside = [
            *(self._call(call) for call in self._trace.calls),
            *(self._span(span) for span in self._trace.spans if span.span_id not in self._as_call),
        ]
        inside.sort(key=lambda one: (one.started_at, one.ended_at, one.span_id))
        began, ended = self._at
        times = [moment for one in inside for moment in (one.started_at, one.ended_at)]
        yield self._attempt(began or min(times, default=0), max([ended, *times]))
        yield from inside

    def _attempt(self, began: int, ended: int) -> Told:
        trace = self._trace
        attributes = {
            "agl.span.kind": "task",
            "agl.task.id": trace.task_id,
            "agl.rollout.status": trace.status,
            "agl.rollout.repeat": trace.repeat,
            "agentlightning.mode": trace.mode,
            "agl.exit_status": trace.exit_status,
        }
        if self._content:
            attributes["input.value"] = json.dumps(plain(trace.input), ensure_ascii=False)
            attributes["input.mime_type"] = "application/json"
        return self._made(
            self._root,
            None,
            f"rollout {trace.rollout_id}",
            began,
            ended,
            attributes,
            rewards=self._rewards.get("", []),
            status=_STATUS["ok" if trace.status == "succeeded" else "error" if trace.status == "failed" else "unset"],
        )

    def _call(self, recorded: CallRecorded) -> Told:
        is_ok = recorded.status == "ok"
        return self._made(
            _hex(recorded.call_id, 8),
            self._above_call(recorded),
            call_name(recorded),
            recorded.started_at,
            recorded.started_at + round(recorded.latency * _SECOND),
            call_attributes(recorded, content=self._content, token_ids=self._token_ids),
            kind=_KIND["client"],
            rewards=self._rewards.get(recorded.call_id, []),
            status=_STATUS["unset" if is_ok else "error"],
            status_message="" if is_ok else recorded.error or recorded.status,
        )

    def _span(self, span: SpanRecorded) -> Told:
        attributes = plain(span.attributes)
        events = tuple(
            (str(event.get("name", "")), _moment(event, span), plain(event.get("attributes") or {}))
            for event in span.events
        )
        if not self._content:
            said = meaning(span)
            attributes = {name: value for name, value in attributes.items() if not _is_said(name)}
            attributes |= {"gen_ai.tool.name": said.tool, "gen_ai.agent.name": said.agent}
            events = tuple((name, at, {}) for name, at, _ in events)
        if span.agent is not None:
            attributes.setdefault("gen_ai.agent.name", span.agent)
        return self._made(
            self._id(span),
            self._above(span.parent_id),
            span.name,
            span.started_at,
            span.ended_at,
            attributes,
            kind=_KIND.get(span.kind, 1),
            events=events,
            rewards=self._rewards.get(span.span_id, []),
            status=_STATUS.get(span.status, 0),
            status_message=(span.status_message or "") if self._content else "",
        )

    def _above_call(self, recorded: CallRecorded) -> str:
        """Under the span that told of it too, or else in the innermost one that was under way, and of its agent."""
        witness = next((span for span, seen in self._as_call.items() if seen == recorded.call.response_id), None)
        if witness is not None:
            return self._above(self._spans[witness].parent_id)
        here = [
            span
            for span in self._around
            if span.started_at <= recorded.started_at <= span.ended_at and span.agent == recorded.agent
        ]
        return self._id(max(here, key=lambda span: span.started_at)) if here else self._root

    def _above(self, parent_id: str | None) -> str:
        """The nearest of its parents that is told, else the attempt."""
        passed: set[str] = set()
        while parent_id in self._as_call and parent_id not in passed:
            passed.add(parent_id)
            parent_id = self._spans[parent_id].parent_id
        return self._id(self._spans[parent_id]) if parent_id in self._spans else self._root

    def _id(self, span: SpanRecorded) -> str:
        return span.span_id if _is_hex(span.span_id) else _hex(span.span_id, 8)

    def _made(
        self,
        span_id: str,
        parent_id: str | None,
        name: str,
        began: int,
        ended: int,
        attributes: Mapping[str, Any],
        *,
        kind: int = 1,
        events: tuple[tuple[str, int, Mapping[str, Any]], ...] = (),
        rewards: list[RewardGiven],
        status: int,
        status_message: str = "",
    ) -> Told:
        judged = tuple(("gen_ai.evaluation.result", max(ended, began), evaluation(given)) for given in rewards)
        return Told(
            trace_id=self._trace_id,
            span_id=span_id,
            parent_id=parent_id,
            name=name,
            kind=kind,
            started_at=began,
            ended_at=max(ended, began),
            attributes={**attributes, **evaluations(rewards)},
            events=(*events, *judged),
            status=status,
            status_message=status_message,
            resource=self._resource,
        )


_QUIET = frozenset(
    {"agl.span.kind", "error.type", "gen_ai.agent.name", "gen_ai.operation.name", "gen_ai.request.model"}
    | {"gen_ai.response.id", "gen_ai.response.model", "gen_ai.tool.name", "openinference.span.kind"}
)


def _is_said(name: str) -> bool:
    """Whether an attribute may hold what somebody said: all may that are not known to name or to count."""
    return name not in _QUIET and not name.startswith(("gen_ai.usage.", "llm.token_count."))


def _moment(event: Mapping[str, Any], span: SpanRecorded) -> int:
    at = event.get("timestamp")
    return at if isinstance(at, int) else span.started_at


def _is_hex(span_id: str) -> bool:
    return len(span_id) == 16 and all(digit in "0123456789abcdef" for digit in span_id) and int(span_id, 16) > 0


def _hex(of: str, size: int) -> str:
    """An id that follows from another one; it is never nothing but zeros, which OpenTelemetry takes for none."""
    return hashlib.blake2b(of.encode(), digest_size=size).hexdigest()
