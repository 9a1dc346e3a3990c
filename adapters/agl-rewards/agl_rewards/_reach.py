"""What a reward is for: the calls that its target is, or has in it."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from agl_core.adapter import Trace, TraceReward, Unmatched
from agl_core.events import Target
from agl_core.projections import Node, tree
from agl_rewards._story import Story

__all__ = ["Reached", "reached"]

_DEEPEST = sys.maxsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A reward, and the calls it is for."""

    reward: TraceReward
    target: Target
    """The call, where it was given to the span that tells of the call."""
    calls: tuple[str, ...] = ()
    """In the order they were recorded."""
    depth: int = 0
    """How deep its target lies: of two that a call is in, the deeper is nearer."""
    missed: str = ""
    """Why there are no such calls."""


def reached(story: Story, name: str, kinds: Collection[str]) -> tuple[list[Reached], list[Unmatched]]:
    """The last reward of that name for each target of those kinds; and those of them that are for no call.

    One for an agent is for its calls. One for a span is for the calls in it, as `agl_core.projections.tree` draws
    them, and for the one call where the span tells of that.
    """
    given = story.given(name, kinds)
    has_spans = any(one.given.target.kind == "span" for one in given)
    spans = {one.reward.id: one for one in _in_spans(story)} if has_spans else {}
    last: dict[Target, Reached] = {}
    for reward in given:
        found = spans.get(reward.id) or _found(story, reward)
        last[found.target] = found
    missed = [
        Unmatched(reward_id=one.reward.id, rollout_id=story.trace.rollout_id, reason=one.missed)
        for one in last.values()
        if one.missed
    ]
    return [one for one in last.values() if not one.missed], missed


def _found(story: Story, reward: TraceReward) -> Reached:
    target = reward.given.target
    match target.kind:
        case "rollout":
            return Reached(reward=reward, target=target, calls=tuple(story.calls))
        case "agent":
            calls = tuple(id_ for id_, call in story.calls.items() if call.agent == target.id)
            missed = "" if calls else "no_call" if _has_agent(story.trace, target.id) else "unknown_target"
            return Reached(reward=reward, target=target, calls=calls, missed=missed)
        case "call":
            return _call(story, reward, target)
    return Reached(reward=reward, target=target, missed="unknown_target")


def _call(story: Story, reward: TraceReward, target: Target) -> Reached:
    if target.id in story.calls:
        return Reached(reward=reward, target=target, calls=(target.id,), depth=_DEEPEST)
    there = next((call for call in story.trace.calls if call.call_id == target.id), None)
    missed = "unknown_target" if there is None else "call_failed" if there.role == "policy" else "not_policy"
    return Reached(reward=reward, target=target, missed=missed)


def _in_spans(story: Story) -> Iterator[Reached]:
    """The rewards for spans that are there."""
    order = {call_id: place for place, call_id in enumerate(story.calls)}

    def walked(nodes: Sequence[Node], depth: int) -> Iterator[Reached]:
        for node in nodes:
            for given in (one.reward for one in node.below):
                if given is None or given.given.target.kind != "span":
                    continue
                target = given.given.target
                if node.call is not None:
                    yield _call(story, given, Target(kind="call", id=node.call.call_id))
                else:
                    inside = tuple(sorted((id_ for id_ in _calls(node) if id_ in order), key=order.__getitem__))
                    missed = "" if inside else "no_call"
                    yield Reached(reward=given, target=target, calls=inside, depth=depth, missed=missed)
            yield from walked(node.below, depth + 1)

    return walked(tree(story.trace), 1)


def _calls(node: Node) -> Iterator[str]:
    for below in node.below:
        if below.call is not None:
            yield below.call.call_id
        yield from _calls(below)


def _has_agent(trace: Trace, name: str) -> bool:
    return any(name == call.agent for call in trace.calls) or any(name == span.agent for span in trace.spans)
