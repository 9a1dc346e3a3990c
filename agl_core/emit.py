"""What agent code may call: rewards, messages, objects, annotations, operations. Agent Lightning's names."""

from __future__ import annotations

import base64
import functools
import inspect
import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from agl_core.errors import BadValue, OutsideAttempt
from agl_core.events import RewardGiven, SpanRecorded, Target
from agl_core.ids import new_id
from agl_core.recorder import Scope, current

__all__ = [
    "emit_annotation",
    "emit_exception",
    "emit_message",
    "emit_object",
    "emit_reward",
    "operation",
    "rewards_of",
]

Function = TypeVar("Function", bound=Callable[..., Any])


def emit_reward(
    reward: float | Mapping[str, float],
    *,
    primary_key: str | None = None,
    attributes: Mapping[str, Any] | None = None,
    target: Target | None = None,
    propagate: bool = True,
) -> RewardGiven:
    """Put a number on the rollout under way, or on what `target` names; returns the primary one.

    A dict names several dimensions; `primary_key` says which of them is the reward that trains.
    Raises `BadValue` for what is no finite number, `OutsideAttempt` where no attempt is under way.
    """
    scope = current("a reward") if propagate else _nobody()
    given = rewards_of(reward, scope, primary_key=primary_key, target=target, evidence=attributes or {})
    if propagate:
        for event in given:
            scope.pending.append(scope.recorder.record(event, scope))
    return given[0]


def rewards_of(
    reward: float | Mapping[str, float],
    scope: Scope,
    *,
    primary_key: str | None = None,
    target: Target | None = None,
    evidence: Mapping[str, Any] | None = None,
    judge: str = "agent",
) -> list[RewardGiven]:
    """The reward events of a number, or of a dict of named ones, primary first."""
    match reward:
        case Mapping():
            if primary_key is None and len(reward) == 1:
                primary_key = next(iter(reward))
            if primary_key is None and "primary" in reward:
                primary_key = "primary"
            if primary_key not in reward:
                raise BadValue("primary_key", primary_key, why=f"name one of {', '.join(sorted(reward)) or 'nothing'}")
            named = {"primary": reward[primary_key]} | {k: v for k, v in reward.items() if k != primary_key}
        case _:
            named = {"primary": reward}
    return [
        RewardGiven(
            rollout_id=scope.rollout_id,
            attempt_id=scope.attempt_id,
            target=target or Target(kind="rollout", id=scope.rollout_id),
            value=_number(value),
            name=name,
            judge=judge,
            evidence=evidence or {},
        )
        for name, value in named.items()
    ]


def emit_annotation(annotation: Mapping[str, Any], propagate: bool = True) -> SpanRecorded:  # noqa: FBT001, FBT002 - v0.3's signature
    """Attach attributes to the attempt under way."""
    return _emit("agentlightning.annotation", _flat(annotation), propagate=propagate)


def emit_message(message: str, attributes: Mapping[str, Any] | None = None, propagate: bool = True) -> None:  # noqa: FBT001, FBT002
    """Leave a line of text in the trace."""
    _emit("agentlightning.message", {**(attributes or {}), "agentlightning.message.body": message}, propagate=propagate)


def emit_object(object: Any, attributes: Mapping[str, Any] | None = None, propagate: bool = True) -> SpanRecorded:  # noqa: A002, FBT001, FBT002
    """Leave a value in the trace: a plain one as it is, bytes as base64, else as JSON."""
    found: dict[str, Any] = {**(attributes or {}), "agentlightning.object.type": type(object).__name__}
    match object:
        case str() | int() | float() | bool():
            found["agentlightning.object.literal"] = object
        case bytes():
            found["agentlightning.object.literal"] = base64.b64encode(object).decode()
        case _:
            try:
                found["agentlightning.object.json"] = json.dumps(object)
            except (TypeError, ValueError) as error:
                raise BadValue("object", object, why=f"it is not JSON ({error})") from None
    return _emit("agentlightning.object", found, propagate=propagate)


def emit_exception(
    exception: BaseException,
    attributes: Mapping[str, Any] | None = None,
    propagate: bool = True,  # noqa: FBT001, FBT002
) -> None:
    """Leave an exception in the trace that the agent dealt with itself."""
    _emit("agentlightning.exception", {**(attributes or {}), **_exception(exception)}, propagate=propagate, error=True)


@contextmanager
def _operation(name: str, attributes: dict[str, Any], *, propagate: bool) -> Iterator[dict[str, Any]]:
    started = time.time_ns()
    error = False
    try:
        yield attributes
    except BaseException as raised:
        attributes.update(_exception(raised))
        error = True
        raise
    finally:
        attributes["agentlightning.operation.name"] = name
        _emit("agentlightning.operation", attributes, propagate=propagate, started=started, error=error)


def operation(fn: Function | None = None, *, propagate: bool = True, name: str | None = None, **attributes: Any) -> Any:
    """A piece of the agent's work, as a decorator (sync or async) or as a context manager: its span tells
    arguments, result, exception and duration."""  # noqa: D205, D209 - one sentence
    if fn is None and name is not None:
        return _operation(name, dict(attributes), propagate=propagate)
    if fn is None:
        return functools.partial(operation, propagate=propagate, **attributes)
    label = name or fn.__qualname__

    if inspect.iscoroutinefunction(fn):

        @functools.wraps(fn)
        async def traced_async(*args: Any, **kwargs: Any) -> Any:
            with _operation(label, _asked(attributes, args, kwargs), propagate=propagate) as span:
                result = await fn(*args, **kwargs)
                span["agentlightning.operation.output"] = repr(result)
                return result

        return traced_async

    @functools.wraps(fn)
    def traced(*args: Any, **kwargs: Any) -> Any:
        with _operation(label, _asked(attributes, args, kwargs), propagate=propagate) as span:
            result = fn(*args, **kwargs)
            span["agentlightning.operation.output"] = repr(result)
            return result

    return traced


def _asked(attributes: Mapping[str, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {**attributes, "agentlightning.operation.input": repr({"args": args, "kwargs": kwargs})}


def _emit(
    name: str, attributes: Mapping[str, Any], *, propagate: bool, started: int | None = None, error: bool = False
) -> SpanRecorded:
    scope = current(f"a span {name!r}") if propagate else _nobody()
    now = time.time_ns()
    span = SpanRecorded(
        rollout_id=scope.rollout_id,
        attempt_id=scope.attempt_id,
        span_id=new_id("sp"),
        name=name,
        attributes=attributes,
        status="error" if error else "ok",
        agent=scope.agent,
        started_at=started or now,
        ended_at=now,
    )
    if propagate:
        scope.pending.append(scope.recorder.record(span, scope))
    return span


def _nobody() -> Scope:
    """Ids for an event that is built and not sent; the real ones where there are any."""
    try:
        return current()
    except OutsideAttempt:
        return Scope(recorder=None, run_id=None, rollout_id="", attempt_id="")  # type: ignore[arg-type]  # never used


def _number(value: Any) -> float:
    if isinstance(value, bool | int | float):
        return float(value)
    raise BadValue("reward", value, why="a reward is a number")


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            found.update(_flat(inner, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = inner
    return found


def _exception(raised: BaseException) -> dict[str, Any]:
    return {
        "exception.type": type(raised).__name__,
        "exception.message": str(raised),
        "exception.stacktrace": "".join(traceback.format_exception(raised)),
    }
