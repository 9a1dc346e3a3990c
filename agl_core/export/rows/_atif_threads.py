"""The calls of an attempt as threads, each one agent's chat; and each thread as the steps of a trajectory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agl_core.adapter import Trace
from agl_core.events import CallRecorded, Message, SpanRecorded
from agl_core.export.rows._atif_steps import Steps
from agl_core.export.rows._chat import toolbox

__all__ = ["Thread", "threads"]


@dataclass(slots=True)
class Thread:
    """A trajectory in the making."""

    agent: str | None
    steps: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    root: Mapping[str, Any] = field(default_factory=dict)
    """What a trajectory that was imported said at its top."""
    span_id: str | None = None
    """Of the span that keeps what an imported trajectory said beside its calls."""
    parent_id: str | None = None
    asked_by: dict[str, Any] | None = None
    """The step of another thread that had this one do something."""


def threads(trace: Trace) -> Iterator[Thread]:
    """Those that were imported as they were, then those that the calls make; the first is the outermost."""
    calls = {
        call.call_id: call for call in trace.calls if call.role == "policy" and call.status == "ok" and _spoke(call)
    }
    for span in _imported(trace):
        own = [calls.pop(id_) for id_ in span.attributes["atif.calls"] if id_ in calls]
        yield _as_it_came(span, own, {reward.given.target.id for reward in trace.rewards})
    steps: dict[str, dict[str, Any]] = {}
    for chat in _chats(list(calls.values())):
        made = Steps()
        for call in chat:
            steps[call.call_id] = made.add(call)
        asked_by = steps.get(chat[0].parent_call_id or "")
        tools = max((call.call.tools for call in chat), key=len)
        yield Thread(chat[0].agent, made.all, toolbox(tools), asked_by=asked_by)


def _spoke(call: CallRecorded) -> bool:
    return bool(call.call.choices) and call.call.dialect != "openai.embeddings"


def _imported(trace: Trace) -> list[SpanRecorded]:
    """Spans that `agl import atif` made, the outer ones first."""
    found = [span for span in trace.spans if isinstance(span.attributes.get("atif.trajectory"), Mapping)]
    return sorted(found, key=lambda span: span.parent_id is not None)


def _as_it_came(span: SpanRecorded, calls: Sequence[CallRecorded], rewarded: Collection[str]) -> Thread:
    """The steps of the calls, with what the source said beside them."""
    said = span.attributes
    made = Steps(as_it_came=True, rewarded=rewarded)
    for call in calls:
        made.add(call)
    steps = made.all
    if len(steps) == said.get("atif.count"):
        beside = said.get("atif.steps") or {}
        steps = [_with(step, beside.get(str(step["step_id"]), {})) for step in steps]
        steps += [dict(step) for step in said.get("atif.tail") or ()]
    # Its own rewards are facts by now, and what it said of itself is said anew.
    root = {name: value for name, value in said["atif.trajectory"].items() if name != "extra"}
    extra = {
        name: value
        for name, value in (said["atif.trajectory"].get("extra") or {}).items()
        if name not in {"agl", "reward", "rewards"}
    }
    return Thread(
        span.agent,
        steps,
        [],
        root={**root, **({"extra": extra} if extra else {})},
        span_id=span.span_id,
        parent_id=span.parent_id,
    )


def _with(step: dict[str, Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    """The step of a call, with the words of the source where the call has others, or none."""
    made: dict[str, Any] = {name: value for name, value in step.items() if name not in _SAID_BESIDE}
    made.update(beside)
    metrics = {name: value for name, value in step.get("metrics", {}).items() if name in _TOKENS}
    if metrics or "metrics" in beside:
        made["metrics"] = {**metrics, **beside.get("metrics", {})}
    if "extra" in step:
        made["extra"] = {**beside.get("extra", {}), **step["extra"]}
    return made


_SAID_BESIDE = frozenset({"is_copied_context", "metrics", "model_name", "timestamp"})
_TOKENS = frozenset({"prompt_token_ids", "completion_token_ids", "logprobs"})


def _chats(calls: Sequence[CallRecorded]) -> list[list[CallRecorded]]:
    """A call goes on with the chat whose words it begins with, the longest of its agent's; else it begins one."""
    chats: list[list[CallRecorded]] = []
    ends: dict[Hashable, list[int]] = defaultdict(list)
    """By agent and all that was said: the chats that ended there, and were not gone on with."""
    for call in calls:
        said = [_words(message) for message in call.call.messages]
        found = None
        for length in range(len(said), 0, -1):
            if open_ := ends.get((call.agent, tuple(said[:length]))):
                found = open_.pop(0)
                break
        if found is None:
            found = len(chats)
            chats.append([])
        chats[found].append(call)
        ends[call.agent, (*said, _words(call.call.choices[0].message))].append(found)
    return chats


def _words(message: Message) -> Hashable:
    """What it says, whatever a client did to it on its way back."""
    content = message.content
    said = content if isinstance(content, str) else repr(content) if content else ""
    return message.role, said, tuple((call.name, "".join(call.arguments.split())) for call in message.tool_calls)
