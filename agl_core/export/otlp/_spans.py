"""A trace of ours as OpenTelemetry's: the attempt, its calls and its spans, with ids that are the same each time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agl_core.events import CallRecorded, SpanRecorded
from agl_core.export.otlp._words import call_attributes, call_name, evaluation, evaluations
from agl_core.projections import Node, Trace, tree
from agl_core.spans import DIALECTS, SpanDialect, plain
from agl_core.spans.context import root_of, traceparent

__all__ = ["Told", "told"]

_SECOND = 1_000_000_000
_STATUS = {"unset": 0, "ok": 1, "error": 2}
_ENDS = {"succeeded": "ok", "failed": "error"}
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
    dialects: Sequence[SpanDialect] = DIALECTS,
) -> list[Told]:
    """The spans of an attempt: its own, then those it holds, in the order they began.

    `at` is when the attempt began and ended, in nanoseconds. A span that stands for a call on the wire is told once, as
    the call; what a span stands for, `dialects` know. Without `content`, nothing that a model, a tool or a task said
    goes along; token ids do when asked for.
    """
    said = _Telling(trace, run_id, dict(resource or {}), content=content, token_ids=token_ids)
    return said.spans(*at, tree(trace, dialects=dialects))


class _Telling:
    def __init__(
        self, trace: Trace, run_id: str | None, resource: dict[str, Any], *, content: bool, token_ids: bool
    ) -> None:
        self._trace, self._content, self._token_ids = trace, content, token_ids
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
        self._spans = {span.span_id: span for span in trace.spans}

    def spans(self, began: int, ended: int, nodes: Sequence[Node]) -> list[Told]:
        """The attempt, then what is in it."""
        inside = sorted(self._below(nodes, self._root), key=lambda one: (one.started_at, -one.ended_at, one.span_id))
        times = [moment for one in inside for moment in (one.started_at, one.ended_at)]
        attempt = self._attempt(nodes, began or min(times, default=0), max([ended, *times]))
        return [attempt, *inside]

    def _below(self, nodes: Iterable[Node], above: str) -> Iterator[Told]:
        for node in nodes:
            if node.reward is None:  # a reward is told with what earned it
                one = self._told(node, above)
                yield one
                yield from self._below(node.below, one.span_id)

    def _told(self, node: Node, above: str) -> Told:
        if node.call is not None:
            return self._call(node.call, node, above)
        if node.id is not None:
            return self._span(self._spans[node.id], node, above)
        # An agent that no span tells of, and only its calls.
        attributes = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": node.name}
        span_id = _hex(f"{above}/{node.name}/{node.started_at}", 8)
        times = node.started_at or 0, node.ended_at or 0
        return self._made(span_id, above, f"invoke_agent {node.name}", times, attributes, node.below)

    def _attempt(self, nodes: Iterable[Node], began: int, ended: int) -> Told:
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
        told = self._made(self._root, None, f"rollout {trace.rollout_id}", (began, ended), attributes, nodes)
        return replace(told, status=_STATUS[_ENDS.get(trace.status, "unset")])

    def _call(self, recorded: CallRecorded, node: Node, above: str) -> Told:
        attributes = call_attributes(recorded, content=self._content, token_ids=self._token_ids)
        times = recorded.started_at, recorded.started_at + round(recorded.latency * _SECOND)
        told = self._made(_hex(recorded.call_id, 8), above, call_name(recorded), times, attributes, node.below)
        told = replace(told, kind=_KIND["client"])
        if recorded.status == "ok":
            return told
        return replace(told, status=_STATUS["error"], status_message=recorded.error or recorded.status)

    def _span(self, span: SpanRecorded, node: Node, above: str) -> Told:
        attributes = plain(span.attributes)
        events = tuple(
            (str(event.get("name", "")), _moment(event, span), plain(event.get("attributes") or {}))
            for event in span.events
        )
        if not self._content:
            attributes = {name: value for name, value in attributes.items() if not _is_said(name)}
            attributes["gen_ai.tool.name"] = node.meaning.tool if node.meaning is not None else None
            events = tuple((name, at, {}) for name, at, _ in events)
        if node.agent is not None:
            attributes.setdefault("gen_ai.agent.name", node.agent)
        span_id = span.span_id if _is_hex(span.span_id) else _hex(span.span_id, 8)
        told = self._made(span_id, above, span.name, (span.started_at, span.ended_at), attributes, node.below)
        return replace(
            told,
            kind=_KIND.get(span.kind, 1),
            events=(*events, *told.events),
            status=_STATUS.get(span.status, 0),
            status_message=(span.status_message or "") if self._content else "",
        )

    def _made(
        self,
        span_id: str,
        parent_id: str | None,
        name: str,
        times: tuple[int, int],
        attributes: Mapping[str, Any],
        below: Iterable[Node],
    ) -> Told:
        began, ended = times[0], max(times)
        rewards = [node.reward.given for node in below if node.reward is not None]
        return Told(
            trace_id=self._trace_id,
            span_id=span_id,
            parent_id=parent_id,
            name=name,
            kind=_KIND["internal"],
            started_at=began,
            ended_at=ended,
            attributes={**attributes, **evaluations(rewards)},
            events=tuple(("gen_ai.evaluation.result", ended, evaluation(given)) for given in rewards),
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
