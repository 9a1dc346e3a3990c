"""What a program without our library tells at `AGL_EVENT_URL`: the facts that `agl.emit_*` would make of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from agl_core.clock import Clock
from agl_core.emit import (
    SpanCoreFields,
    annotation_span,
    exception_attributes,
    exception_span,
    message_span,
    object_span,
    rewards_of,
)
from agl_core.errors import BadValue, CodecError, KeyReused, LeaseLost
from agl_core.events import Event, RewardGiven, SpanRecorded, Target
from agl_core.gateway._ports import Facts
from agl_core.gateway._refusals import Refused, Reply
from agl_core.ids import canonical, digest, new_id
from agl_core.log import View
from agl_core.record import Draft
from agl_core.spans import rewards
from agl_core.store import Admission

__all__ = ["ROUTE", "Telling"]

ROUTE = "events"
_KINDS = ("reward", "message", "annotation", "object", "exception", "event_type")
_BESIDE = {
    "reward": frozenset({"primary_key", "target", "attributes"}),
    "message": frozenset({"attributes", "agent"}),
    "annotation": frozenset({"agent"}),
    "object": frozenset({"attributes", "agent"}),
    "exception": frozenset({"attributes", "agent"}),
    "event_type": frozenset({"data"}),
}
"""What may stand beside each."""
_MOST = 1000
"""Facts told at a time."""
_ACTOR = "agl-core events"


class Telling:
    """Takes what programs tell: all of a request, in one transaction, or nothing of it."""

    def __init__(self, facts: Facts, clock: Clock) -> None:
        self._facts, self._clock = facts, clock

    async def reply(self, admission: Admission, raw: bytes) -> Reply:
        """How many facts became of it, once they are durable.

        What comes after the attempt's lease was lost is kept too, never counts, and is answered `LeaseLost`.
        """
        lost: list[bool] = []

        def decide(view: View) -> Sequence[Draft]:
            fence = "select 1 from attempts where attempt_id = ? and fence is not null"
            lost[:] = [bool(view.rows(fence, (admission.attempt_id,)))]
            return [draft for one in told for draft in one.new(view)]

        try:
            told = [_told(one, admission, self._clock.now()) for one in _items(raw)]
            await asyncio.wrap_future(self._facts.submit(decide))
        except RecursionError:
            raise Refused(400, "BAD_JSON", "the body is nested too deep") from None
        except KeyReused as error:
            raise Refused(409, error.code, str(error)) from None
        except CodecError as error:
            raise Refused(400, error.code, str(error)) from None
        if lost == [True]:
            raise LeaseLost(admission.attempt_id, why="it ran out before this came")
        return Reply(200, msgspec.json.encode({"recorded": sum(len(one.drafts) for one in told)}))


@dataclass(frozen=True, slots=True)
class _Told:
    """One thing that was told."""

    drafts: Sequence[Draft]
    """A span, and what it states; or rewards."""

    def new(self, view: View) -> Sequence[Draft]:
        """What of it the log does not have; `KeyReused` when it knows other words by the same key."""
        return () if _is_known(view, self.drafts[0]) else self.drafts


def _draft(event: Event, key: str | None, admission: Admission) -> Draft:
    return Draft(
        stream=f"rollout/{admission.rollout_id}",
        event=event,
        key=key,
        correlation_id=admission.run_id or admission.rollout_id,
        actor=_ACTOR,
    )


def _is_known(view: View, draft: Draft) -> bool:
    """Whether a span came before by its key: told again it has another time, so the log could not see it."""
    if draft.key is None or not isinstance(draft.event, SpanRecorded):
        return False  # of rewards the log itself sees whether they are the same
    found = view.rows("select position, json_extract(data, '$.span_id') from events where key = ?", (draft.key,))
    if found and found[0][1] != draft.event.span_id:
        raise KeyReused(draft.key, position=found[0][0], differs="content")
    return bool(found)


# --- one thing told, as the facts it stands for


def _items(raw: bytes) -> list[Any]:
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, "BAD_JSON", f"the body must be a JSON object, or a list of those: {error}") from None
    items = found if isinstance(found, list) else [found]
    if not 0 < len(items) <= _MOST:
        raise BadValue("events", len(items), why=f"one to {_MOST} are told at a time")
    return items


def _told(item: Any, admission: Admission, now: int) -> _Told:
    kinds = [kind for kind in _KINDS if isinstance(item, dict) and kind in item]
    if len(kinds) != 1:
        raise BadValue("event", item, why=f"it is an object with one of {', '.join(_KINDS)}")
    kind = kinds[0]
    if strange := item.keys() - _BESIDE[kind] - {kind, "key"}:
        beside = ", ".join(sorted({"key", *_BESIDE[kind]}))
        raise BadValue("event", item, why=f"{min(strange)!r} is unknown: beside `{kind}` there may be {beside}")
    key = item.get("key")
    if key is not None and not (isinstance(key, str) and 0 < len(key) <= 256):
        raise BadValue("key", key, why="it is a text of at most 256 characters")
    if kind == "event_type":
        kind, item = _of_version_1(item)
    base = None if key is None else f"event/{admission.attempt_id}/{key}"
    if kind == "reward":
        given = _rewards(item, admission)
        return _Told([_draft(one, base and f"{base}/{one.name}", admission) for one in given])
    said = _said(kind, item)
    span = SpanRecorded(
        rollout_id=admission.rollout_id,
        attempt_id=admission.attempt_id,
        # With a key, the id says what was told: the same again is the same span.
        span_id=new_id("sp") if key is None else f"sp-{digest(canonical([admission.attempt_id, item]))[:26]}",
        name=said.name,
        attributes=said.attributes,
        status=said.status.status_code.lower(),
        status_message=said.status.description,
        agent=_text(item, "agent"),
        started_at=now,
        ended_at=now,
    )
    stated = [_draft(reward, rewards.key(span, reward), admission) for reward in rewards.stated(span)]
    return _Told([_draft(span, base, admission), *stated])


def _of_version_1(item: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """An event of Agent Lightning 1.0: a reward, or one that only its sender understands."""
    kind, data = item["event_type"], item.get("data", {})
    if not isinstance(kind, str) or not isinstance(data, dict):
        raise BadValue("event", item, why="event_type is text, and data an object")
    if kind != "reward":
        return "annotation", {"annotation": {"event_type": kind, **data}}
    beside = {name: value for name, value in data.items() if name != "value"}
    return "reward", {"reward": data.get("value"), "attributes": beside}


def _rewards(item: Mapping[str, Any], admission: Admission) -> list[RewardGiven]:
    target = item.get("target")
    if target is not None:
        try:
            target = msgspec.convert(target, Target)
        except msgspec.ValidationError:
            why = "it is an object of `kind` (rollout, call, span or agent) and `id`"
            raise BadValue("target", target, why=why) from None
    named, evidence = _text(item, "primary_key"), annotation_span(_attributes(item)).attributes
    return rewards_of(item["reward"], admission, primary_key=named, target=target, evidence=evidence)


def _said(kind: str, item: Mapping[str, Any]) -> SpanCoreFields:
    """What the emitter of that kind would have made of it."""
    told, attributes = item[kind], _attributes(item)
    match kind, told:
        case "message", _:
            return message_span(told, attributes)
        case "annotation", _:
            return annotation_span(told)
        case "object", _:
            return object_span(told, attributes)
        case "exception", str():
            return exception_span(exception_attributes(told), attributes)
        case "exception", {"message": str(), **fields} if fields.keys() <= {"type", "stacktrace"}:
            words = {name: str(value) for name, value in told.items()}
            return exception_span(exception_attributes(**words), attributes)
    raise BadValue(kind, told, why="it is text, or an object of `type`, `message` and `stacktrace`")


def _attributes(item: Mapping[str, Any]) -> dict[str, Any]:
    found = item.get("attributes", {})
    if not isinstance(found, dict):
        raise BadValue("attributes", found, why="they are an object")
    return dict(found)


def _text(item: Mapping[str, Any], name: str) -> str | None:
    found = item.get(name)
    if found is not None and not (isinstance(found, str) and found):
        raise BadValue(name, found, why="it is text")
    return found
