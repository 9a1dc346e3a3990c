"""Writes what the agent says of its attempt: rewards, messages, objects, annotations, operations."""

from __future__ import annotations

import base64
import functools
import inspect
import json
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from agl_core.errors import BadValue, OutsideAttempt
from agl_core.events import RewardGiven, SpanRecorded, Target
from agl_core.ids import new_id
from agl_core.recorder import Attributed, Scope, current

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
            scope.expect(scope.recorder.record(event, scope))
    return given[0]


def rewards_of(
    reward: float | Mapping[str, float],
    scope: Attributed,
    *,
    primary_key: str | None = None,
    target: Target | None = None,
    evidence: Mapping[str, Any] | None = None,
    judge: str = "agent",
) -> list[RewardGiven]:
    """The reward events of a number, or of a dict of named ones, primary first."""
    match reward:
        case Mapping():
            primary = primary_key or ("primary" if len(reward) != 1 else next(iter(reward)))
            if primary not in reward:
                raise BadValue("primary_key", primary_key, why=f"name one of {', '.join(sorted(reward)) or 'nothing'}")
            named = {"primary": reward[primary]} | {name: value for name, value in reward.items() if name != primary}
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


def emit_object(object: Any, attributes: Mapping[str, Any] | None = None, propagate: bool = True) -> SpanRecorded:  # noqa: FBT001, FBT002
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


class Operation:
    """A piece of the agent's work: a context manager, and a decorator for functions, sync and async."""

    def __init__(self, name: str | None, attributes: Mapping[str, Any], *, propagate: bool) -> None:
        self._name, self._given, self._propagate = name, attributes, propagate
        self._attributes: dict[str, Any] = {}
        self._started = 0

    def __enter__(self) -> Self:
        self._attributes, self._started = dict(self._given), time.time_ns()
        return self

    def __exit__(self, _type: object, raised: BaseException | None, _traceback: object) -> None:
        found = {**self._attributes, "agentlightning.operation.name": self._name or "operation"}
        if raised is not None:
            found |= _exception(raised)
        _emit(
            "agentlightning.operation",
            found,
            propagate=self._propagate,
            started=self._started,
            error=raised is not None,
        )

    def set_input(self, *args: Any, **kwargs: Any) -> None:
        """What it worked on."""
        self._attributes["agentlightning.operation.input"] = repr({"args": args, "kwargs": kwargs})

    def set_output(self, output: Any) -> None:
        """What came of it."""
        self._attributes["agentlightning.operation.output"] = repr(output)

    def __call__(self, fn: Function) -> Function:
        """The function, with a span for each call."""

        def begun() -> Operation:
            # One for each call: the function may be entered again before it is left.
            return Operation(self._name or fn.__qualname__, self._given, propagate=self._propagate)

        @functools.wraps(fn)
        async def traced_async(*args: Any, **kwargs: Any) -> Any:
            with begun() as work:
                work.set_input(*args, **kwargs)
                work.set_output(result := await fn(*args, **kwargs))
                return result

        @functools.wraps(fn)
        def traced(*args: Any, **kwargs: Any) -> Any:
            with begun() as work:
                work.set_input(*args, **kwargs)
                work.set_output(result := fn(*args, **kwargs))
                return result

        chosen: Any = traced_async if inspect.iscoroutinefunction(fn) else traced
        return chosen  # type: ignore[no-any-return]  # it takes and gives what `fn` does


def operation(fn: Function | None = None, *, propagate: bool = True, name: str | None = None, **attributes: Any) -> Any:
    """A span that tells arguments, result, exception and duration.

    As `@operation`, as `@operation(name=...)`, or as `with operation(name=...)`.
    """
    made = Operation(name, attributes, propagate=propagate)
    return made if fn is None else made(fn)


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
        scope.expect(scope.recorder.record(span, scope))
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
