"""Rewards: a number, or a dict of them, as the facts that are recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agl_core.emit._attributes import flatten_attributes
from agl_core.emit._core_fields import SpanCoreFields, core
from agl_core.emit.semconv import AGL_ANNOTATION
from agl_core.errors import BadValue, OutsideAttempt
from agl_core.events import RewardGiven, Target
from agl_core.recorder import Attributed, Scope, current
from agl_core.spans import rewards

__all__ = ["emit_reward", "rewards_of"]

_PRIMARY = "primary"


def emit_reward(
    reward: float | Mapping[str, Any],
    *,
    primary_key: str | None = None,
    attributes: Mapping[str, Any] | None = None,
    propagate: bool = True,
    target: Target | None = None,
) -> SpanCoreFields:
    """Put a number on the rollout under way, or on what `target` names; the span that says so.

    A dict names several dimensions; `primary_key` says which of them is the reward that trains. A reward whose
    `attributes` link it to a span is of that span. Raises `BadValue` for what is no finite number, `OutsideAttempt`
    where no attempt is under way.
    """
    scope = current("a reward") if propagate else _nobody()
    beside = core(AGL_ANNOTATION, flatten_attributes(attributes or {}))
    given = rewards_of(reward, scope, primary_key=primary_key, target=target, evidence=beside.attributes)
    if propagate:
        for event in given:
            scope.expect(scope.recorder.record(event, scope))
    return replace(beside, attributes=rewards.shape(given))


def rewards_of(
    reward: float | Mapping[str, Any],
    scope: Attributed,
    *,
    primary_key: str | None = None,
    target: Target | None = None,
    evidence: Mapping[str, Any] | None = None,
    judge: str = "agent",
) -> list[RewardGiven]:
    """The reward events of a number, or of a dict of named ones, primary first."""
    called, named = _PRIMARY, {_PRIMARY: reward}
    if isinstance(reward, Mapping):
        called = _primary(reward, primary_key)
        named = {_PRIMARY: reward[called]} | {name: value for name, value in reward.items() if name != called}
    elif primary_key is not None:
        raise BadValue("primary_key", primary_key, why="it is for a dict of rewards, and this is one number")
    beside = evidence or {}
    of = target or rewards.target(beside) or Target(kind="rollout", id=scope.rollout_id)
    return [
        RewardGiven(
            rollout_id=scope.rollout_id,
            attempt_id=scope.attempt_id,
            target=of,
            value=_number(value),
            name=name,
            judge=judge,
            evidence={**beside, **rewards.called(called)} if name == _PRIMARY else beside,
        )
        for name, value in named.items()
    ]


def _primary(reward: Mapping[Any, Any], primary_key: str | None) -> str:
    if not reward:
        raise BadValue("reward", reward, why="it is empty: a reward is a number, or a dict of at least one")
    if strange := [name for name in reward if not isinstance(name, str)]:
        raise BadValue("reward", dict(reward), why=f"the name of a reward is text, and {strange[0]!r} is none")
    names = ", ".join(sorted(reward))
    called: str = primary_key or (_PRIMARY if len(reward) != 1 else next(iter(reward)))
    if called not in reward and primary_key is None:
        why = (
            f"which one trains is not said: call it `primary`, or `emit_reward(..., primary_key=)` with one of {names}"
        )
        raise BadValue("reward", dict(reward), why=why)
    if called not in reward:
        raise BadValue("primary_key", called, why=f"name one of {names}")
    if called != _PRIMARY and _PRIMARY in reward:
        raise BadValue("primary_key", called, why="one of the rewards is called `primary`, and that is the one")
    return called


def _number(value: Any) -> float:
    # Numbers of NumPy and of tensors are no `float`, and know how to become one; so does text, which is none.
    if hasattr(value, "__float__"):
        try:
            return float(value)
        except Exception as error:  # noqa: BLE001 - a guest's own code: a tensor of several numbers raises what it likes
            raise BadValue("reward", value, why=f"a reward is one number ({error})") from None
    raise BadValue("reward", value, why="a reward is a number")


def _nobody() -> Scope:
    """Ids for an event that is built and not sent; the real ones where there are any."""
    try:
        return current()
    except OutsideAttempt:
        return Scope(recorder=None, run_id=None, rollout_id="", attempt_id="")  # type: ignore[arg-type]  # never used
