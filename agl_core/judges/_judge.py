"""What a judge is: a trace in, verdicts out; and what is made sure of before anybody believes one."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any, Protocol

from agl_core.asking import Said
from agl_core.errors import AglError, BadValue, JudgeFailed
from agl_core.events import Target
from agl_core.ids import canonical, digest
from agl_core.projections import Trace

__all__ = ["Ask", "AskingJudge", "Judge", "Said", "Verdict", "asks", "fingerprint", "identity", "options", "verdicts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A number that a judge puts on a rollout, or on something in it."""

    value: float
    name: str = "primary"
    target: Target | None = None
    """The rollout, where it is left out."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Why: plain JSON, for whoever looks at it later."""

    def __post_init__(self) -> None:
        value: Any = self.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadValue("verdict", value, why="it is a finite number")
        if not self.name:
            raise BadValue("verdict.name", self.name, why="it is a word")
        canonical(self.evidence)


Verdicts = Verdict | Iterable[Verdict]


class Judge(Protocol):
    """A frozen dataclass; its fields are its options, plain JSON; its `name` and `version` are class variables.

    A version says how it judges: another way of judging is another version.
    """

    @property
    def name(self) -> str:
        """By which it is registered."""
        ...

    @property
    def version(self) -> str:
        """Of its way of judging."""
        ...

    def __call__(self, trace: Trace) -> Verdicts | Awaitable[Verdicts]:
        """What it makes of a rollout that has come to its end. Plain or `async`; a plain one is called in a thread.

        It raises where it cannot tell: that is a reason, and no number.
        """
        ...


class Ask(Protocol):
    """Asks the judge's model. The call is recorded with the rollout; asked again for the same judgement, it is read."""

    async def __call__(self, messages: Sequence[Mapping[str, Any]], *, sampling: Mapping[str, Any] = ...) -> Said:
        """The answer to a chat; `sampling` is what goes with it, such as `{"temperature": 0}`.

        Raises `JudgeUnanswered`.
        """
        ...


class AskingJudge(Protocol):
    """A judge that asks a model: whoever takes `ask` is handed it, and says in `model` whom it asks."""

    @property
    def name(self) -> str:
        """By which it is registered."""
        ...

    @property
    def version(self) -> str:
        """Of its way of judging."""
        ...

    @property
    def model(self) -> str:
        """An engine URL, `https://host/v1#its-name`; or the name of a model that the run serves."""
        ...

    def __call__(self, trace: Trace, ask: Ask) -> Awaitable[Verdicts]:
        """What it makes of a rollout."""
        ...


def asks(judge: Judge | AskingJudge) -> bool:
    """Whether it asks a model."""
    return "ask" in inspect.signature(judge).parameters


def identity(judge: Judge | AskingJudge) -> str:
    """Who it is, as a reward says it: `exact_match 1`."""
    return f"{judge.name} {judge.version}"


def options(judge: Judge | AskingJudge) -> dict[str, Any]:
    """What it was told, so that an equal one can be made; `BadValue` when that is no plain JSON."""
    given: Any = judge
    found: dict[str, Any] = asdict(given) if is_dataclass(type(given)) else {}
    canonical(found)
    return found


def fingerprint(judge: Judge | AskingJudge) -> str:
    """The same for the same judge with the same options, and for no other."""
    return digest(canonical([judge.name, judge.version, options(judge)]))[:16]


async def verdicts(judge: Judge | AskingJudge, trace: Trace, ask: Ask | None = None) -> tuple[Verdict, ...]:
    """What the judge says, looked over. Whatever keeps it from that is an error of ours, with a code.

    One number for one thing: of two verdicts with a name, each has a target of its own.
    """
    who = identity(judge)
    called: Any = judge
    handed = {"ask": ask} if asks(judge) else {}
    try:
        if _is_async(judge):
            said = await called(trace, **handed)
        else:
            said = await asyncio.to_thread(called, trace, **handed)
            said = await said if inspect.isawaitable(said) else said
        found = (said,) if isinstance(said, Verdict) else tuple(said)
    except AglError:
        raise
    except (Exception, SystemExit) as error:  # a guest
        raise JudgeFailed(who, why=f"{type(error).__name__}: {error}") from error
    _look_over(who, found, trace)
    return found


def _is_async(judge: Any) -> bool:
    return inspect.iscoroutinefunction(judge) or inspect.iscoroutinefunction(type(judge).__call__)


def _look_over(who: str, found: Sequence[Any], trace: Trace) -> None:
    if not found:
        raise JudgeFailed(who, why="it gave no verdict")
    named = set()
    for verdict in found:
        if not isinstance(verdict, Verdict):
            raise JudgeFailed(who, why=f"it gave {type(verdict).__name__}, and a verdict was asked for")
        target = verdict.target or Target(kind="rollout", id=trace.rollout_id)
        if not _is_there(target, trace):
            raise JudgeFailed(who, why=f"it judged {target.kind} {target.id!r}, which the rollout does not have")
        if (verdict.name, target) in named:
            raise JudgeFailed(who, why=f"it gave {verdict.name!r} twice for {target.kind} {target.id!r}")
        named.add((verdict.name, target))


def _is_there(target: Target, trace: Trace) -> bool:
    match target.kind:
        case "rollout":
            return target.id == trace.rollout_id
        case "call":
            return any(call.call_id == target.id for call in trace.calls)
        case "span":
            return any(span.span_id == target.id for span in trace.spans)
    return target.id in {*(call.agent for call in trace.calls), *(span.agent for span in trace.spans)}
