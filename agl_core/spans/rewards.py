"""Rewards that a span states in Agent Lightning's words, as the facts they are; and the span that facts would be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agl_core.events import RewardGiven, SpanRecorded, Target
from agl_core.spans import agentlightning
from agl_core.spans._attributes import number, rows, text

__all__ = ["MADE", "called", "is_called", "key", "said", "shape", "stated", "target"]

MADE = "reward/"
"""What the key of a reward begins with that was made of a span; every other reward stands for a span itself."""
_PRIMARY = "primary"
_REWARD = "agentlightning.reward"
_STATES = (f"{_REWARD}.", "agentops.task.output", "agentops.entity.output")


def stated(span: SpanRecorded) -> tuple[RewardGiven, ...]:
    """What the span states, the first as `primary`; a name that comes twice counts where it came first.

    They are of the rollout, or of the span that the first link names.
    """
    found = span.attributes
    if not any(_states(name) for name in found):
        return ()  # almost all spans: they are not read any closer
    beside = {name: value for name, value in found.items() if not _states(name)}
    given: dict[str, RewardGiven] = {}
    for is_first, name, value in said(found):
        if name == _PRIMARY and not is_first:
            continue  # it would train in the place of the first
        event = RewardGiven(
            rollout_id=span.rollout_id,
            attempt_id=span.attempt_id,
            target=target(found) or Target(kind="rollout", id=span.rollout_id),
            value=value,
            name=_PRIMARY if is_first else name,
            judge="agent",
            evidence=beside | called(name) if is_first else beside,
        )
        given.setdefault(event.name, event)
    return tuple(given.values())


def said(found: Mapping[str, Any]) -> Iterator[tuple[bool, str, float]]:
    """Each reward that attributes state: whether it is the one that trains, its name, its value."""
    listed = rows(found, _REWARD)
    for place, row in enumerate(listed):
        # The place counts, not the order of what is left: where the first is no number, no other one takes its place.
        if (value := number(row.get("value"))) is not None:
            yield place == 0, text(row, "name") or (str(place) if place else _PRIMARY), value
    if not listed:
        for score in agentlightning.scores(found):
            yield True, score.name, score.value


def key(span: SpanRecorded, reward: RewardGiven) -> str:
    """Under which a reward of a span is kept: once, however often the span comes."""
    return f"{MADE}{span.attempt_id}/{span.span_id}/{reward.name}"


def shape(rewards: Iterable[RewardGiven]) -> dict[str, Any]:
    """The attributes of a span that states them, with what was said beside them; the first is the one that trains."""
    attributes: dict[str, Any] = {}
    beside: dict[str, Any] = {}
    for place, reward in enumerate(rewards):
        attributes |= {f"{_REWARD}.{place}.name": reward.name, f"{_REWARD}.{place}.value": reward.value}
        beside = {**reward.evidence, **beside}
    return {**attributes, **beside}


def called(name: str) -> dict[str, str]:
    """Evidence of the name that the primary reward was given under."""
    return {} if name == _PRIMARY else {f"{_REWARD}.0.name": name}


def is_called(reward: RewardGiven, name: str) -> bool:
    """Whether it has that name, or is the primary one of several and had that name among them."""
    return reward.name == name or (reward.name == _PRIMARY and called(name).items() <= reward.evidence.items())


def target(attributes: Mapping[str, Any]) -> Target | None:
    """The span that a reward is of by its link; a link by anything else than a span's id names none."""
    for link in rows(attributes, "agentlightning.link"):
        if text(link, "key_match") == "span_id" and (id_ := text(link, "value_match")):
            return Target(kind="span", id=id_)
    return None


def _states(name: str) -> bool:
    return name.startswith(_STATES) or name == _REWARD
