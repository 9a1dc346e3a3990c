"""What judging leaves in a log: all of a judgement or nothing, once, whatever becomes of the attempt."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

import aiohttp
import pytest

import agl_core as agl
from agl_core.clock import Still
from agl_core.events import CallRecorded, RewardGiven, RewardWithheld, Target
from agl_core.gateway import Gateway
from agl_core.judges import Asking, ExactMatch, Seat, Sitting, Verdict, why_not
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder
from agl_core.store import Store, _decisions, _recovering
from agl_core.testing import ScriptedModel

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The gateway speaks asyncio."""
    return "asyncio"


@pytest.fixture
def store(tmp_path):
    """Over a log of its own."""
    with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
        store = Store(log)
        yield store
        store.close()


async def ended(store: Store, exit_status: Any = "completed") -> agl.Trace:
    """A rollout that has come to its end, with a call."""
    rollout = await store.start_rollout({"answer": "4"})
    await store.finish_attempt(rollout.attempt, exit_status)
    return store.ask.traces([rollout.rollout_id])[0]


def facts(store: Store, *kinds: type) -> list[Any]:
    """Events of these types, in order."""
    return [record.event for record in store.log.read(types=[kind.type for kind in kinds])]


@dataclass(frozen=True, kw_only=True)
class Saying:
    """Gives the verdicts it was made with."""

    name: ClassVar[str] = "saying"
    version: ClassVar[str] = "1"
    verdicts: ClassVar[tuple[Any, ...]] = ()

    nth: int = 0

    def __call__(self, trace: agl.Trace) -> Any:
        """Whatever it is."""
        return type(self).verdicts[self.nth]


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Asks, and takes the answer for the number."""

    name: ClassVar[str] = "asker"
    version: ClassVar[str] = "1"

    model: str = "grader"

    async def __call__(self, trace: agl.Trace, ask: Any) -> Verdict:
        """Of a number in words."""
        said = await ask([{"role": "user", "content": "How good?"}])
        return Verdict(value=float(said.text), evidence={"calls": [said.call_id]})


def nobody(*_arguments: Any) -> Any:
    """No model."""
    raise AssertionError


async def test_all_verdicts_of_a_judgement_are_written_together(store):
    """Under their own names, but for `primary`; in one transaction."""
    trace = await ended(store)
    Saying.verdicts = ([Verdict(value=1.0), Verdict(value=0.5, name="style")],)

    sat = await Sitting(store, nobody).judge(Seat(judge=Saying(), dimension="math"), trace)

    records = list(store.log.read(types=[RewardGiven.type]))
    assert sat.status == "judged"
    assert [(one.event.name, one.event.value) for one in records] == [("math", 1.0), ("style", 0.5)]
    assert records[1].position == records[0].position + 1
    assert {(one.correlation_id, one.actor) for one in records} == {(trace.rollout_id, "agl-core judges")}


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ((), "no verdict"),
        (None, "TypeError"),
        (0.5, "TypeError"),
        ([0.5], "float, and a verdict was asked for"),
        ([Verdict(value=1.0), Verdict(value=0.0)], "twice"),
        (Verdict(value=1.0, target=Target(kind="call", id="ca-9")), "does not have"),
        (Verdict(value=1.0, target=Target(kind="agent", id="nobody")), "does not have"),
        ([Verdict(value=1.0), Verdict(value=1.0, target=Target(kind="span", id="sp-9"))], "does not have"),
    ],
)
async def test_what_is_no_verdict_is_a_reason(store, said, why):
    """With a code, and no number: of several verdicts none is kept."""
    trace = await ended(store)
    Saying.verdicts = (said,)

    sat = await Sitting(store, nobody).judge(Seat(judge=Saying()), trace)

    (withheld,) = facts(store, RewardWithheld)
    assert (sat.status, sat.code, withheld.code) == ("withheld", "JUDGE_FAILED", "JUDGE_FAILED")
    assert why in withheld.why
    assert facts(store, RewardGiven) == []


async def test_two_verdicts_are_not_called_the_same(store):
    """One takes the name that its seat gives, and another has it already."""
    trace = await ended(store)
    Saying.verdicts = ([Verdict(value=1.0), Verdict(value=0.5, name="style")],)

    sat = await Sitting(store, nobody).judge(Seat(judge=Saying(), dimension="style"), trace)

    assert (sat.status, sat.code) == ("withheld", "JUDGE_FAILED")


async def test_a_judge_that_raises_is_a_reason_and_the_others_go_on(store):
    """Also one that wants to end the program."""

    @dataclass(frozen=True, kw_only=True)
    class Raising(Saying):
        def __call__(self, trace: agl.Trace) -> Any:
            raise SystemExit(3)

    trace = await ended(store)
    sitting = Sitting(store, nobody)

    sat = await asyncio.gather(
        sitting.judge(Seat(judge=Raising(), dimension="a"), trace),
        sitting.judge(Seat(judge=ExactMatch(answer="{{ status }}"), dimension="b"), trace),
    )

    assert [one.status for one in sat] == ["withheld", "judged"]


async def test_two_who_judge_at_once_leave_one_judgement(store):
    """The first counts; the other finds it there."""
    trace = await ended(store)
    seat, sitting = Seat(judge=ExactMatch(answer="{{ status }}")), Sitting(store, nobody)

    sat = await asyncio.gather(*(sitting.judge(seat, trace) for _ in range(5)))

    assert sorted(one.status for one in sat) == ["judged", "known", "known", "known", "known"]
    assert len(facts(store, RewardGiven)) == 1


async def test_what_was_withdrawn_is_not_given_again(store):
    """Somebody took it back: the same judge, told the same, would give the same."""
    trace = await ended(store)
    seat, sitting = Seat(judge=ExactMatch(answer="{{ status }}")), Sitting(store, nobody)
    await sitting.judge(seat, trace)
    (reward,) = store.ask.traces([trace.rollout_id])[0].rewards
    await store.withdraw_reward(trace.rollout_id, str(reward.id), "it was wrong")

    again = await sitting.judge(seat, trace)

    assert again.status == "known"


async def test_calls_of_judges_are_in_the_trace_of_an_attempt_whose_lease_was_lost(tmp_path):
    """And what the agent does too late is not."""
    clock = Still(1)
    with SqliteLog(tmp_path / "log.db", projections=CORE) as log, ScriptedModel("0.5", model="grader") as model:
        store = Store(log, clock=clock)
        rollout = await store.start_rollout({}, config=agl.RolloutConfig(timeout_seconds=1))
        clock.advance(3600)
        await _expired(store, rollout.rollout_id)
        gateway = Gateway(Recorder(log), store.ask)
        base = await gateway.start()
        gateway.register(model.endpoint, role="judge")
        (trace,) = store.ask.traces([rollout.rollout_id])
        async with aiohttp.ClientSession() as client:
            sitting = Sitting(store, Asking(store, base, client, {}))
            first = await sitting.judge(Seat(judge=Asker()), trace)
        (again,) = store.ask.traces([rollout.rollout_id])
        await gateway.stop()
        (outcome,) = store.ask.outcomes([rollout.rollout_id])
        store.close()

    assert (trace.status, trace.exit_status, why_not(trace)) == ("failed", "timeout", None)
    assert (first.status, outcome.reward) == ("judged", 0.5)
    assert [(call.role, call.agent) for call in again.calls] == [("judge", "asker 1")]
    assert [reward.given.value for reward in again.rewards] == [0.5]


async def _expired(store: Store, rollout_id: str) -> None:
    await store.log.soon(lambda view: _decisions.expire(view, store._leases))
    assert store.ask.finished([rollout_id])


def test_a_judges_call_that_nobody_knows_the_end_of_is_a_judges(tmp_path):
    """A process that dies in it leaves no call of the policy's."""
    with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
        recorder, store = Recorder(log), Store(log)

        async def begin() -> None:
            rollout = await store.start_rollout({})
            admission = store.ask.admission(rollout.rollout_id, rollout.attempt_id)
            await recorder.for_coroutines().begin_call("ca-1", admission, model="grader", role="judge")
            await log.soon(lambda view: _recovering.recover_calls(view, [store._leases.owner]))

        asyncio.run(begin())
        (call,) = facts(store, CallRecorded)
        store.close()

    assert (call.status, call.role) == ("unknown", "judge")


@pytest.mark.parametrize(
    ("status", "exit_status", "why"),
    [
        ("succeeded", "completed", None),
        ("failed", "gave_up", None),
        ("failed", "worker_lost", "worker_lost"),
        ("failed", "tool_failed", "tool_failed"),
        ("cancelled", None, "cancelled"),
        ("running", None, "open"),
        ("requeuing", None, "open"),
    ],
)
def test_what_is_over_by_the_policys_own_doing_is_judged(rollout, status, exit_status, why):
    """All else has a reason."""
    assert why_not(rollout("x", status=status, exit_status=exit_status)) == why
