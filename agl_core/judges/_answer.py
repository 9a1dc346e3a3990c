"""What the answer of a rollout is: a text, found where whoever judges it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from agl_core.asking import text_of
from agl_core.errors import BadValue, NothingToJudge
from agl_core.events import CallRecorded
from agl_core.judges._paths import ABSENT, within
from agl_core.judges._scene import is_template, rendered, scene, writable
from agl_core.projections import Trace

__all__ = ["Answer", "answer_of", "check_answer"]

Answer: TypeAlias = str
"""Where the answer is:

- `last`: the text of the policy's last answer, in the attempt that counts; of several choices the first;
- `agent:NAME`: the text of that agent's last answer, whatever model spoke;
- `message`, `message:NAME`: what `emit_message` said last; of those with the attribute `name`, where one is named;
- `object`, `object:PATH`: what `emit_object` left last; or what lies at that path (`a.b`) in the last that has it;
- `annotation:KEY`: the last value that `emit_annotation` gave to the key;
- anything with `{{` or `{%`: a Jinja template, filled in with the rollout's `task`, `calls`, `spans`, `metadata`, ...

What is no text is read as its JSON.
"""


def answer_of(trace: Trace, where: Answer) -> str:
    """The answer. Raises `NothingToJudge` where there is none: that is no wrong answer, and no zero."""
    if is_template(where):
        return rendered("answer", where, scene(trace))
    kind, _, name = where.partition(":")
    found: Any = _FINDERS[kind](trace, name, where)
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, sort_keys=True)


def check_answer(where: Answer) -> None:
    """Raise `BadValue` for a place that there cannot be."""
    if is_template(where):
        writable("answer", where)
        return
    kind, colon, name = where.partition(":")
    wants = _WANTS.get(kind)
    if wants is None or (wants == "name" and not name) or (colon and not name) or (wants == "nothing" and colon):
        known = "last, agent:NAME, message[:NAME], object[:PATH], annotation:KEY, or a template with {{ }}"
        raise BadValue("answer", where, why=f"it is one of {known}")


def _last(trace: Trace, _name: str, where: str) -> str:
    return _said((call for call in trace.calls if call.role == "policy"), where, "no call of the policy's succeeded")


def _agent(trace: Trace, name: str, where: str) -> str:
    of = (call for call in trace.calls if call.role != "judge" and call.agent == name)
    return _said(of, where, f"no call of an agent {name!r} succeeded")


def _said(calls: Iterator[CallRecorded], where: str, why: str) -> str:
    answered = [call for call in calls if call.status == "ok" and call.call.choices]
    if not answered:
        raise NothingToJudge(where, why=why)
    message = answered[-1].call.choices[0].message
    text = text_of(message.content)
    if text is None and message.tool_calls:
        raise NothingToJudge(where, why="the last answer asks for a tool, and says nothing")
    return text or ""


def _message(trace: Trace, name: str, where: str) -> Any:
    found = [
        span.attributes["agentlightning.message.body"]
        for span in trace.spans
        if "agentlightning.message.body" in span.attributes and (not name or span.attributes.get("name") == name)
    ]
    return _newest(found, where, "emit_message left none")


def _object(trace: Trace, path: str, where: str) -> Any:
    found = []
    for span in trace.spans:
        value = span.attributes.get("agentlightning.object.literal", ABSENT)
        if value is ABSENT and isinstance(as_json := span.attributes.get("agentlightning.object.json"), str):
            value = json.loads(as_json)
        if value is not ABSENT and (inner := within(value, path)) is not ABSENT:
            found.append(inner)
    return _newest(found, where, "emit_object left none")


def _annotation(trace: Trace, key: str, where: str) -> Any:
    of = [span.attributes for span in trace.spans if span.name == "agentlightning.annotation"]
    return _newest([one[key] for one in of if key in one], where, "emit_annotation gave it no value")


def _newest(found: list[Any], where: str, why: str) -> Any:
    if not found:
        raise NothingToJudge(where, why=why)
    return found[-1]


_FINDERS: Mapping[str, Callable[[Trace, str, str], Any]] = {
    "last": _last,
    "agent": _agent,
    "message": _message,
    "object": _object,
    "annotation": _annotation,
}
_WANTS = {"last": "nothing", "agent": "name", "message": "", "object": "", "annotation": "name"}
