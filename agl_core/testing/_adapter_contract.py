"""What every adapter promises, as tests to inherit."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import Any

import msgspec
import pytest

from agl_core.adapter import Adapter, Trace, TraceReward
from agl_core.events import CallRecorded, Choice, Message, ModelCall, RewardGiven, Sampling, Target

__all__ = ["AdapterContract", "watching"]

_OUTSIDE = ("open", "socket.connect", "socket.bind", "subprocess.Popen", "os.system", "sqlite3.connect")
_seen: ContextVar[list[str] | None] = ContextVar("seen", default=None)


class AdapterContract:
    """Inherit, and override `adapter`; `traces` too where the adapter wants something that those have not."""

    @pytest.fixture
    def adapter(self) -> Adapter[Any]:
        """The adapter."""
        raise NotImplementedError("override the fixture `adapter`")

    @pytest.fixture
    def traces(self) -> Sequence[Trace]:
        """A batch in which everything happens that happens to rollouts, well or not."""
        return _batch()

    def test_it_has_a_name(self, adapter: Adapter[Any]) -> None:
        """A batch in the log says by whom it was formed."""
        assert isinstance(adapter.name, str)
        assert adapter.name

    # --- nothing is lost, and nothing made up

    def test_every_policy_call_is_kept_or_dropped(self, adapter: Adapter[Any], traces: Sequence[Trace]) -> None:
        """What was captured is what was kept and what was dropped, in each rollout, each pair, and all together."""
        for batch in _batches(traces):
            adapted = adapter(batch)

            assert adapted.captured == len(_policy(batch)), [trace.rollout_id for trace in batch]
            assert 0 <= adapted.kept <= len(_policy(batch))

    def test_what_is_dropped_is_a_call_of_the_batch(self, adapter: Adapter[Any], traces: Sequence[Trace]) -> None:
        """Once, with its rollout, and with a reason."""
        for batch in _batches(traces):
            dropped = adapter(batch).dropped

            rollouts = {call.call_id: call.rollout_id for call in _policy(batch)}
            assert len({one.call_id for one in dropped}) == len(dropped)
            assert [one.call_id for one in dropped if rollouts.get(one.call_id) != one.rollout_id] == []
            assert [one.call_id for one in dropped if not one.reason.strip()] == []

    def test_rows_come_of_calls_that_were_kept(self, adapter: Adapter[Any], traces: Sequence[Trace]) -> None:
        """No call kept, no row; a call kept, a row."""
        for batch in _batches(traces):
            adapted = adapter(batch)

            assert bool(adapted.rows) == bool(adapted.kept)

    def test_a_call_that_is_not_the_policys_becomes_no_row(
        self, adapter: Adapter[Any], traces: Sequence[Trace]
    ) -> None:
        """A judge's words are nobody's to learn."""
        judged = [_with(trace, role="judge") for trace in traces]

        assert list(adapter(judged).rows) == []

    def test_a_call_that_failed_becomes_no_row(self, adapter: Adapter[Any], traces: Sequence[Trace]) -> None:
        """Nothing was said."""
        failed = [_with(trace, status="error", error="nobody answered") for trace in traces]

        assert list(adapter(failed).rows) == []

    def test_of_nothing_comes_nothing(self, adapter: Adapter[Any]) -> None:
        """An empty batch is one."""
        adapted = adapter([])

        assert (list(adapted.rows), list(adapted.dropped), adapted.kept) == ([], [], 0)

    # --- pure

    def test_the_same_traces_give_the_same_rows(self, adapter: Adapter[Any], traces: Sequence[Trace]) -> None:
        """Byte for byte: a run that is resumed compares them."""
        first, again = adapter(traces), adapter(copy.deepcopy(traces))

        assert _bytes(first.rows) == _bytes(again.rows)
        assert list(first.dropped) == list(again.dropped)

    def test_one_that_goes_by_task_may_be_handed_a_task_at_a_time(
        self, adapter: Adapter[Any], traces: Sequence[Trace]
    ) -> None:
        """The rows of each task, one after the other, are those of the batch; whoever does not say so is not asked."""
        if not getattr(adapter, "by_task", False):
            return
        tasks: dict[str, list[Trace]] = {}
        for trace in traces:
            tasks.setdefault(trace.task_id, []).append(trace)

        whole = adapter([trace for them in tasks.values() for trace in them])
        parts = [adapter(them) for them in tasks.values()]

        assert _bytes(whole.rows) == _bytes([row for part in parts for row in part.rows])
        assert set(whole.dropped) == {one for part in parts for one in part.dropped}

    def test_what_it_is_given_stays_as_it_was(self, adapter: Adapter[Any], traces: Sequence[Trace]) -> None:
        """Others look at the same traces."""
        before = copy.deepcopy(traces)

        adapter(traces)

        assert list(traces) == list(before)

    def test_it_reads_and_writes_nothing_else(self, adapter: Adapter[Any], traces: Sequence[Trace]) -> None:
        """No file, no connection, no other program."""
        adapter(traces)  # what it imports late is there from now on

        with watching() as seen:
            adapter(traces)

        assert seen == []


@contextmanager
def watching() -> Iterator[list[str]]:
    """What code in here reaches outside for, while it lasts."""
    _listen()
    seen: list[str] = []
    token = _seen.set(seen)
    try:
        yield seen
    finally:
        _seen.reset(token)


def _batches(traces: Sequence[Trace]) -> Iterator[Sequence[Trace]]:
    yield traces
    yield list(reversed(traces))
    for count in (1, 2):
        yield from combinations(traces, count)


def _policy(traces: Sequence[Trace]) -> list[CallRecorded]:
    return [call for trace in traces for call in trace.calls if call.role == "policy"]


def _with(trace: Trace, **facts: Any) -> Trace:
    """With these facts on every call of it."""
    return replace(trace, calls=tuple(replace(call, **facts) for call in trace.calls))


def _bytes(rows: Sequence[Any]) -> bytes:
    """As the run encodes them."""
    return msgspec.json.encode(rows, order="sorted")


@cache
def _listen() -> None:
    """Once a process: an audit hook cannot be taken out."""

    def heard(event: str, _arguments: Any) -> None:
        seen = _seen.get()
        if seen is not None and event in _OUTSIDE:
            seen.append(event)

    sys.addaudithook(heard)


def _batch() -> tuple[Trace, ...]:
    """The same task twice, conversations of two turns, two agents, a judge; and everything that goes wrong."""
    return (
        _trace("ro-good", _call("ro-good", 1, (5, 6), (7, 8)), _call("ro-good", 2, (5, 6, 7, 8, 9), (1,))),
        _trace("ro-poor", _call("ro-poor", 1, (5, 6), (4, 4)), repeat=1, reward=0.0),
        _trace("ro-judged", _call("ro-judged", 1, (5,), (6,)), _call("ro-judged", 2, (2,), (3,), role="judge")),
        _trace(
            "ro-two-agents",
            _call("ro-two-agents", 1, (5,), (6,), agent="writer"),
            _call("ro-two-agents", 2, (9,), (8,), agent="searcher"),
            _call("ro-two-agents", 3, (5, 6, 2), (7,), agent="writer"),
        ),
        _trace("ro-in-vain", _call("ro-in-vain", 1, (5,), ()), _call("ro-in-vain", 2, (5,), (6,), status="error")),
        _trace("ro-broken-off", _call("ro-broken-off", 1, (5,), (6,), status="broken"), reward=0.5),
        _trace("ro-without-ids", _call("ro-without-ids", 1, (), (), provenance="absent", text="words")),
        _trace("ro-unscored", _call("ro-unscored", 1, (5,), (6,)), reward=None),
        _trace("ro-lost", _call("ro-lost", 1, (5,), (6,)), status="failed", exit_status="worker_lost", reward=None),
        _trace("ro-silent"),
    )


def _trace(rollout_id: str, *calls: CallRecorded, reward: float | None = 1.0, **facts: Any) -> Trace:
    given = RewardGiven(
        rollout_id=rollout_id, target=Target(kind="rollout", id=rollout_id), value=reward or 0.0, judge="agent"
    )
    facts = {"status": "succeeded", "exit_status": "completed", **facts}
    rewards = () if reward is None else (TraceReward(id=f"{rollout_id}/reward", given=given),)
    return Trace(
        rollout_id=rollout_id,
        attempt_id=f"at-{rollout_id}",
        task_id="ta-same" if rollout_id in {"ro-good", "ro-poor"} else f"ta-{rollout_id}",
        input={"question": "What is 2 + 2?"},
        mode="train",
        calls=calls,
        rewards=rewards,
        **facts,
    )


def _call(
    rollout_id: str,
    number: int,
    prompt: tuple[int, ...],
    sampled: tuple[int, ...],
    *,
    provenance: Any = "engine",
    text: str = "",
    **facts: Any,
) -> CallRecorded:
    said = Choice(
        message=Message(role="assistant", content=text or " ".join(map(str, sampled))),
        finish_reason="stop",
        token_ids=sampled,
        logprobs=tuple(-0.5 for _ in sampled),
    )
    asked = [Message(role="system", content="Add."), Message(role="user", content=" ".join(map(str, prompt)))]
    call = ModelCall(
        model="policy",
        messages=tuple(asked),
        sampling=Sampling(temperature=1.0),
        choices=(said,) if sampled or text else (),
        prompt_token_ids=prompt,
        provenance=provenance,
        logprobs_mode="processed",
    )
    facts = {"policy_version": 1, "status": "ok", **facts}
    return CallRecorded(
        call_id=f"{rollout_id}/call-{number}",
        rollout_id=rollout_id,
        attempt_id=f"at-{rollout_id}",
        call=call,
        started_at=number,
        latency=0.1,
        **facts,
    )
