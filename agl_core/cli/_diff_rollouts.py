"""Two rollouts: where they part first, in what was said, which tools were called, and what they earned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from agl_core.adapter import Trace
    from agl_core.cli._diff_sides import Thing
    from agl_core.events import CallRecorded, Message

__all__ = ["compared_replay", "compared_rollouts"]

_SHOWN = 60
"""Characters of a text on each side of where it differs."""
_LISTED = 100
_MISSING: Any = object()


def compared_rollouts(a: Thing, b: Thing) -> dict[str, Any]:
    """The attempts that count; ids of tool calls are told apart by their order, for no two rollouts share them."""
    from agl_core.store import Queries

    (trace_a,), (trace_b,) = (Queries(thing.log).traces([thing.id]) for thing in (a, b))
    calls_a, calls_b = _aligned(_calls(trace_a), _calls(trace_b))
    sides = [_told(trace_a, calls_a), _told(trace_b, calls_b)]
    found = [one for one, _ in zip(_differing("", *sides), range(_LISTED), strict=False)]
    return {
        "same": not found,
        "first": found[0] if found else None,
        "differences": found,
        "sides": [_counted(one) for one in sides],
    }


def compared_replay(source: Thing, replay: Thing) -> dict[str, Any]:
    """Every rollout of the replay's log beside the one that it was replayed from."""
    from dataclasses import replace

    from agl_core.events import ReplayStarted

    started = [record.event for record in replay.log.read(types=[ReplayStarted.type])]
    origins = [event.rollout_id for event in started if isinstance(event, ReplayStarted)]
    now = [id_ for (id_,) in replay.log.rows("select rollout_id from rollouts order by position")]
    pairs = [(id_ if id_ in origins else origins[0], id_) for id_ in now]
    found = [
        {"a": then, "b": id_, **compared_rollouts(replace(source, id=then), replace(replay, id=id_))}
        for then, id_ in pairs
    ]
    return {"same": all(one["same"] for one in found), "rollouts": found}


def _calls(trace: Trace) -> list[CallRecorded]:
    return [call for call in trace.calls if call.role != "judge"]


def _aligned(
    a: Sequence[CallRecorded], b: Sequence[CallRecorded]
) -> tuple[Sequence[CallRecorded], Sequence[CallRecorded]]:
    """By the place in the code that asked, where every call knows it: those that overlap end in any order."""
    by_place = {call.place: call for call in b}
    places = [call.place for call in a]
    if None in places or None in by_place or len(by_place) != len(b) or len(set(places)) != len(a):
        return a, b
    ahead = [by_place[place] for place in places if place in by_place]
    return a, [*ahead, *(call for call in b if call.place not in set(places))]


def _told(trace: Trace, calls: Sequence[CallRecorded]) -> dict[str, Any]:
    """What of a rollout is compared, as plain values, in the order in which a reader looks."""
    names: dict[str, str] = {}
    places = {call.call_id: number for number, call in enumerate(calls)}
    return {
        "task": trace.input,
        "calls": [_call(call, names) for call in calls],
        "rewards": [
            {
                "name": one.given.name,
                "value": one.given.value,
                "judge": one.given.judge,
                "for": f"calls[{places[one.given.target.id]}]" if one.given.target.id in places else None,
                "target": one.given.target.kind,
            }
            for one in trace.rewards
        ],
        "status": trace.status,
        "exit_status": trace.exit_status,
    }


def _call(call: CallRecorded, names: dict[str, str]) -> dict[str, Any]:
    return {
        "agent": call.agent,
        "role": call.role,
        "model": call.call.model,
        "messages": [_message(message, names) for message in call.call.messages],
        "tools": [tool.name for tool in call.call.tools],
        "status": call.status,
        "answer": [_message(choice.message, names) for choice in call.call.choices],
    }


def _message(message: Message, names: dict[str, str]) -> dict[str, Any]:
    def named(id_: str | None) -> str | None:
        return None if id_ is None else names.setdefault(id_, f"#{len(names) + 1}")

    return {
        "role": message.role,
        "content": msgspec.to_builtins(message.content),
        "tool_calls": [
            {"id": named(one.id), "name": one.name, "arguments": one.arguments} for one in message.tool_calls
        ],
        "tool_call_id": named(message.tool_call_id),
    }


def _counted(told: dict[str, Any]) -> dict[str, Any]:
    tool_calls = (len(message["tool_calls"]) for call in told["calls"] for message in call["answer"])
    finals = [one["value"] for one in told["rewards"] if one["target"] == "rollout" and one["name"] == "primary"]
    return {
        "status": told["status"],
        "exit_status": told["exit_status"],
        "calls": len(told["calls"]),
        "tool_calls": sum(tool_calls),
        "reward": finals[-1] if finals else None,
    }


def _differing(at: str, a: Any, b: Any) -> Iterator[dict[str, Any]]:
    match a, b:
        case dict(), dict():
            for name in dict.fromkeys([*a, *b]):
                inner = f"{at}.{name}" if at else str(name)
                yield from _differing(inner, a.get(name, _MISSING), b.get(name, _MISSING))
        case list(), list():
            for number, (one, two) in enumerate(_beside(a, b)):
                yield from _differing(f"{at}[{number}]", one, two)
        case str(), str() if a != b:
            one, two = _around(a, b)
            yield {"at": at, "a": one, "b": two}
        case _ if a is not b and a != b:
            yield {"at": at, "a": None if a is _MISSING else a, "b": None if b is _MISSING else b}


def _beside(a: Sequence[Any], b: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    from itertools import zip_longest

    return zip_longest(a, b, fillvalue=_MISSING)


def _around(a: str, b: str) -> tuple[str, str]:
    """Both, around the first letter that differs."""
    same = next((at for at, (one, two) in enumerate(zip(a, b, strict=False)) if one != two), min(len(a), len(b)))
    return _cut(a, same), _cut(b, same)


def _cut(text: str, at: int) -> str:
    begin, end = max(0, at - _SHOWN), at + _SHOWN
    return ("..." if begin else "") + text[begin:end] + ("..." if end < len(text) else "")
