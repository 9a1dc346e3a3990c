"""What every judge promises, as tests to inherit."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from agl_core.errors import AglError, JudgeFailed
from agl_core.events import CallRecorded, Choice, Message, ModelCall, SpanRecorded
from agl_core.ids import canonical
from agl_core.judges import Ask, AskingJudge, Judge, Said, Verdict, asks, options, verdicts
from agl_core.projections import Trace
from agl_core.testing._adapter_contract import watching

__all__ = ["JudgeContract"]

_TASK = {"question": "What is 2 + 2?", "answer": "4"}
Outcome = tuple[Verdict, ...] | str
"""What came of judging: verdicts, or the code of the reason why there are none."""


class JudgeContract:
    """Inherit, and override `judge`; `traces` where yours wants other tasks, `ask` where it asks a model."""

    @pytest.fixture
    def judge(self) -> Judge | AskingJudge:
        """The judge."""
        raise NotImplementedError("override the fixture `judge`")

    @pytest.fixture
    def traces(self) -> Sequence[Trace]:
        """Rollouts that went well, badly, and in vain; `rollout` makes one."""
        return _batch()

    @pytest.fixture
    def ask(self) -> Ask:
        """A test double for the judge's model: an `async` function of messages that gives a `Said`."""

        async def nobody(messages: Sequence[Mapping[str, Any]], *, sampling: Mapping[str, Any] | None = None) -> Said:
            raise NotImplementedError("override the fixture `ask`: this judge asks a model")

        return nobody

    @staticmethod
    def rollout(*said: str, task: Any = None, name: str = "ro-1", **facts: Any) -> Trace:
        """A rollout in which the policy said so, one call for each; `facts` are other fields of the trace."""
        return _trace(name, *said, task=_TASK if task is None else task, **facts)

    # --- what it is

    def test_it_has_a_name_and_a_version(self, judge: Judge | AskingJudge) -> None:
        """A reward says by both who gave it; a blank stands between them, and nowhere else."""
        for word in (judge.name, judge.version):
            assert isinstance(word, str)
            assert word.split() == [word]

    def test_its_options_make_an_equal_one(self, judge: Judge | AskingJudge) -> None:
        """They are plain JSON: a run that is resumed makes its judges of what the log has."""
        kind: Any = type(judge)
        told = options(judge)

        assert kind(**told) == judge
        assert canonical(told)

    def test_it_says_whom_it_asks(self, judge: Judge | AskingJudge) -> None:
        """A judge that takes `ask` has a `model`."""
        assert not asks(judge) or (isinstance(model := getattr(judge, "model", None), str) and model)

    # --- what it says

    def test_a_rollout_gets_a_number_or_a_reason(
        self, judge: Judge | AskingJudge, traces: Sequence[Trace], ask: Ask
    ) -> None:
        """Finite, of what is there, with plain JSON as evidence; or an error with a code, and never a bare one."""
        raised = {trace.rollout_id: why for trace in traces if (why := _bare(judge, trace, ask)) is not None}

        assert raised == {}, "raise a JudgeError instead, that says what is missing"

    def test_it_judges_something(self, judge: Judge | AskingJudge, traces: Sequence[Trace], ask: Ask) -> None:
        """One of the rollouts at least: else the other tests would say nothing."""
        assert any(not isinstance(_outcome(judge, trace, ask), str) for trace in traces)

    def test_the_same_rollout_is_judged_the_same(
        self, judge: Judge | AskingJudge, traces: Sequence[Trace], ask: Ask
    ) -> None:
        """Again, by an equal judge, of an equal trace."""
        kind: Any = type(judge)
        first = [_outcome(judge, trace, ask) for trace in traces]

        again = [_outcome(kind(**options(judge)), trace, ask) for trace in copy.deepcopy(traces)]

        assert [_told(one) for one in again] == [_told(one) for one in first]

    def test_it_judges_many_at_once(self, judge: Judge | AskingJudge, traces: Sequence[Trace], ask: Ask) -> None:
        """In threads, or on one loop: what it makes of one depends on no other."""
        alone = [_outcome(judge, trace, ask) for trace in traces]

        async def together() -> list[Outcome]:
            return await asyncio.gather(*(_judged(judge, trace, ask) for trace in traces))

        assert [_told(one) for one in asyncio.run(together())] == [_told(one) for one in alone]

    def test_what_it_is_given_stays_as_it_was(
        self, judge: Judge | AskingJudge, traces: Sequence[Trace], ask: Ask
    ) -> None:
        """Others look at the same trace."""
        before = copy.deepcopy(traces)

        for trace in traces:
            _outcome(judge, trace, ask)

        assert list(traces) == list(before)

    def test_it_connects_to_nobody(self, judge: Judge | AskingJudge, traces: Sequence[Trace], ask: Ask) -> None:
        """Whom it asks it asks by `ask`, which is recorded."""
        with watching() as seen:
            for trace in traces:
                _outcome(judge, trace, ask)

        assert "socket.connect" not in seen


def _outcome(judge: Judge | AskingJudge, trace: Trace, ask: Ask) -> Outcome:
    return asyncio.run(_judged(judge, trace, ask))


async def _judged(judge: Judge | AskingJudge, trace: Trace, ask: Ask) -> Outcome:
    try:
        return await verdicts(judge, trace, ask)
    except AglError as error:
        return error.code


def _bare(judge: Judge | AskingJudge, trace: Trace, ask: Ask) -> BaseException | None:
    """What it raised that is no error of ours; verdicts are looked over as they are where they are believed."""
    try:
        asyncio.run(verdicts(judge, trace, ask))
    except JudgeFailed as error:
        return error.__cause__
    except AglError:
        return None
    return None


def _told(outcome: Outcome) -> Any:
    if isinstance(outcome, str):
        return outcome
    return [(one.name, one.value, one.target) for one in outcome]


def _batch() -> tuple[Trace, ...]:
    """One that was right, one that was not, one that took two calls, and everything that goes wrong."""
    agents = ({"agent": "writer"}, {"agent": "searcher"})
    return (
        _trace("ro-right", "4"),
        _trace("ro-wrong", "Perhaps 5?"),
        _trace("ro-words", "Let me think.", "The answer is 4."),
        _trace("ro-two-agents", "4", "I found nothing.", of=agents),
        _trace("ro-empty", ""),
        _trace("ro-silent"),
        _trace("ro-in-vain", "4", of=({"status": "error", "error": "nobody answered"},)),
        _trace("ro-gave-up", "5", status="failed", exit_status="gave_up"),
        _trace("ro-other-task", "4", task=["no", "object"]),
    )


def _trace(rollout_id: str, *said: str, task: Any = _TASK, of: Sequence[Mapping[str, Any]] = (), **facts: Any) -> Trace:
    more = [*of, *({} for _ in said[len(of) :])]
    calls = tuple(_call(rollout_id, n, text, **one) for n, (text, one) in enumerate(zip(said, more, strict=True)))
    span = SpanRecorded(
        rollout_id=rollout_id,
        attempt_id=f"at-{rollout_id}",
        span_id=f"{rollout_id}/span",
        name="agentlightning.message",
        attributes={"agentlightning.message.body": said[-1] if said else ""},
        started_at=1,
        ended_at=2,
    )
    usual = {"status": "succeeded", "exit_status": "completed", "mode": "train", "spans": (span,) if said else ()}
    return Trace(
        rollout_id=rollout_id,
        attempt_id=f"at-{rollout_id}",
        task_id="ta-1",
        input=copy.deepcopy(task),
        calls=calls,
        **{**usual, **facts},
    )


def _call(rollout_id: str, number: int, text: str, **facts: Any) -> CallRecorded:
    call = ModelCall(
        model="policy",
        messages=(Message(role="user", content="What is 2 + 2?"),),
        choices=() if "error" in facts else (Choice(message=Message(role="assistant", content=text)),),
    )
    return CallRecorded(
        call_id=f"{rollout_id}/call-{number}",
        rollout_id=rollout_id,
        attempt_id=f"at-{rollout_id}",
        call=call,
        started_at=number,
        latency=0.1,
        **facts,
    )
