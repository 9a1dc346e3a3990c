"""Traces of OpenTelemetry, as a collector or an SDK wrote them into a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agl_core.errors import AglError
from agl_core.events import ExitStatus, RewardGiven, SpanRecorded, Target
from agl_core.importing._attempt import facts
from agl_core.importing._calls import calls
from agl_core.importing._lines import bad
from agl_core.importing._otlp_files import requests
from agl_core.importing._spool import Gathered, spool
from agl_core.importing._story import Making, Reading, Refused, Story, digest, exit_status, mode
from agl_core.record import Draft
from agl_core.spans import meaning
from agl_core.spans._attributes import decoded
from agl_core.spans.otlp import SentLog

__all__ = ["FORMAT", "read"]

FORMAT = "otlp"
_AGENT, _SEQUENCE = "agl.agent.name", "agentlightning.span_sequence_id"
_EVALUATION = "gen_ai.evaluation"


def read(path: Path, *, run_id: str) -> Reading:
    """A story a rollout: of the spans that name one, else of a trace; the last attempt in it counts.

    A file that has grown brings what is new. Records of logs are kept where they are evaluations.
    """
    with spool() as gathering:
        for request in requests(path):
            if isinstance(request, Refused):
                yield request
                continue
            yield from (bad(request.where, why) for why in request.rejected)
            for span in request.spans:
                gathering.add(span)
            for log in request.logs:
                if _is_evaluation(log) and log.trace_id:
                    gathering.add(log)
                else:
                    yield bad(request.where, f"of log records only {_EVALUATION}.result of a trace is kept")
        for gathered in gathering.rollouts():
            where = f"{path.name}: {gathered.id}"
            try:
                yield Story(where=where, drafts=tuple(_told(gathered, run_id)))
            except (AglError, ValueError) as error:
                yield bad(where, str(error))


def _told(gathered: Gathered, run_id: str) -> Iterator[Draft]:
    making = Making(FORMAT, gathered.id, run_id=run_id)
    attempts = _attempts(making, gathered)
    spans = [span for some in attempts.values() for span in some]
    if not spans:
        raise ValueError("it has evaluations only, and no span that they could be of")
    root = _root(spans)
    yield making.enqueued(
        _task(root, spans),
        at=min(span.started_at for span in spans),
        mode=mode(root.attributes.get("agentlightning.mode")),
    )
    last: tuple[str, ExitStatus, int] = "", "completed", 0
    for sequence, (attempt_id, some) in enumerate(attempts.items(), start=1):
        began, ended = min(span.started_at for span in some), max(span.ended_at for span in some)
        last = attempt_id, _end(_root(some)), ended
        yield making.started(attempt_id, sequence=sequence, at=began)
        yield from facts(making, sorted(some, key=_order))
    for name, log in gathered.logs:
        yield _evaluation(making, making.attempt_id(name), log)
    for attempt_id, some in attempts.items():
        error = _root(some).status_message if attempt_id == last[0] else None
        yield making.ended(attempt_id, _end(_root(some)), error=error, at=max(span.ended_at for span in some))
    yield making.finished(last[0], last[1], at=last[2])


def _attempts(making: Making, gathered: Gathered) -> dict[str, list[SpanRecorded]]:
    """The spans of each, in the order in which the attempts began."""
    found: dict[str, list[SpanRecorded]] = {}
    for name, span in gathered.spans:
        said = {**span.resource, **span.attributes}
        sequence, agent = said.get(_SEQUENCE), said.get(_AGENT)
        found.setdefault(making.attempt_id(name), []).append(
            span.recorded(
                rollout_id=making.rollout_id,
                attempt_id=making.attempt_id(name),
                agent=agent if isinstance(agent, str) and agent else None,
                sequence_id=sequence if type(sequence) is int and 0 <= sequence < 1 << 62 else None,
            )
        )
    return dict(sorted(found.items(), key=lambda one: min(span.started_at for span in one[1])))


def _order(span: SpanRecorded) -> tuple[int, int]:
    """As they ended: what a call was asked with was answered before."""
    return span.ended_at, -span.started_at


def _root(spans: Sequence[SpanRecorded]) -> SpanRecorded:
    """The one that holds the others; of several the first."""
    known = {span.span_id for span in spans}
    tops = [span for span in spans if span.parent_id not in known]
    return min(tops or spans, key=lambda span: (span.started_at, -span.ended_at))


def _task(root: SpanRecorded, spans: Sequence[SpanRecorded]) -> Any:
    """What the outermost span was given, else what the first model call was asked; null where nobody says."""
    given = decoded(root.attributes.get("input.value"))
    given = meaning(root).arguments if given is None else given
    if given is not None:
        return given
    asked = next((one.recorded.call for one in calls(sorted(spans, key=_order)) if one.recorded.call.messages), None)
    if asked is None:
        return None
    said = [message for message in asked.messages if message.role != "assistant"]
    return {"messages": [{"role": message.role, "content": message.content} for message in said]}


def _end(root: SpanRecorded) -> ExitStatus:
    if (stated := exit_status(root.attributes.get("agl.exit_status"))) is not None:
        return stated
    return "agent_raised" if root.status == "error" else "completed"


def _is_evaluation(log: SentLog) -> bool:
    return (log.event_name or log.attributes.get("event.name")) == f"{_EVALUATION}.result"


def _evaluation(making: Making, attempt_id: str, log: SentLog) -> Draft:
    name, value = log.attributes.get(f"{_EVALUATION}.name"), log.attributes.get(f"{_EVALUATION}.score.value")
    if not isinstance(name, str) or not name or isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{_EVALUATION}.result needs {_EVALUATION}.name and a number in {_EVALUATION}.score.value")
    answer = log.attributes.get("gen_ai.response.id")
    target = Target(kind="rollout", id=making.rollout_id)
    if isinstance(answer, str) and answer:
        target = Target(kind="call", id=making.call_id(attempt_id, answer))
    elif log.span_id:
        target = Target(kind="span", id=log.span_id)
    event = RewardGiven(
        rollout_id=making.rollout_id,
        attempt_id=attempt_id,
        target=target,
        value=float(value),
        name=name,
        judge=_EVALUATION,
        evidence={key: one for key, one in log.attributes.items() if key != f"{_EVALUATION}.score.value"},
    )
    words = digest([log.trace_id, log.span_id, log.at, dict(log.attributes)])
    return making.draft(event, f"evaluation/{attempt_id}/{words}", at=log.at or None)
