"""Our adapters, and what decoding and one pass cost at least: one nested trace, adapted again and again."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from functools import cache
from math import ceil
from time import process_time
from typing import Any

import msgspec
from agl_triplets import TracerTraceToTriplet, Triplets

from agl_core.adapter import Adapted, Trace, TraceReward
from agl_core.events import (
    CallRecorded,
    Choice,
    Message,
    ModelCall,
    RewardGiven,
    Sampling,
    SpanRecorded,
    Target,
)
from bench._contestants._serve import serve
from bench._nested import NANOSECONDS, Step, rewarded, steps

_ROLLOUT, _ATTEMPT = "ro-1", "at-1"
_TARGET = Target(kind="rollout", id=_ROLLOUT)


def rows(level: str, counts: list[int], least: int) -> dict[str, float]:
    """Rows of ours, out of a trace whose calls are of the wire."""
    adapter = Triplets(level, min_group=1)  # type: ignore[arg-type]  # one of the two
    return _rates(counts, least, lambda count: _adapt(adapter, _of_wire(count)))


def matched(source: str, counts: list[int], least: int) -> dict[str, float]:
    """v0.3's triplets with matched rewards, by our adapter of that name."""
    traces = {"spans": _of_spans, "wire": _of_wire}[source]
    adapter = TracerTraceToTriplet()

    def adapt(count: int) -> None:
        trace = traces(count)
        triplets = _adapt(adapter, trace)
        assert sum(triplet.reward is not None for triplet in triplets) == len(trace.rewards)

    return _rates(counts, least, adapt)


def decode(counts: list[int], least: int) -> dict[str, float]:
    """Each span out of its JSON, and one look at it: no tree, no agents, no matching."""
    decoder = msgspec.json.Decoder()

    def look(count: int) -> None:
        open_calls: list[list[Any]] = []
        for raw in _encoded(count):
            found = decoder.decode(raw)
            if "prompt_token_ids" in found:
                open_calls.append([found["prompt_token_ids"], found["response_token_ids"], None])
            elif "agentlightning.reward.0.value" in found:
                open_calls[-1][2] = found["agentlightning.reward.0.value"]
        assert sum(call[2] is not None for call in open_calls) == rewarded(_steps(count))

    return _rates(counts, least, look)


def _rates(counts: list[int], least: int, adapt: Callable[[int], object]) -> dict[str, float]:
    """Spans a second, by how many are in the trace; and what a span costs in the longest next to one of a hundred."""
    seconds = {count: _timed(adapt, count, times=ceil(least / count)) / count for count in counts}
    rates = {f"spans/s of {count}": 1 / each for count, each in seconds.items()}
    return {**rates, "growth": seconds[counts[-1]] / seconds[100]}


def _timed(adapt: Callable[[int], object], count: int, *, times: int) -> float:
    adapt(count)  # makes the trace, too
    gc.collect()
    gc.disable()  # when it runs, and over what, depends on all that is in the process: as `timeit` has it
    before = process_time()
    for _ in range(times):
        adapt(count)
    seconds = process_time() - before
    gc.enable()
    return seconds / times


def _adapt(adapter: Callable[[Sequence[Trace]], Adapted[Any]], trace: Trace) -> Sequence[Any]:
    adapted = adapter([trace])
    assert adapted.kept == adapted.captured > 0
    return adapted.rows


@cache
def _steps(count: int) -> list[Step]:
    return steps(count)


@cache
def _encoded(count: int) -> list[bytes]:
    return [msgspec.json.encode(step.attributes) for step in _steps(count)]


@cache
def _of_spans(count: int) -> Trace:
    found = _steps(count)
    return _trace(found, spans=[_span(step) for step in found], spans_state_them=True)


@cache
def _of_wire(count: int) -> Trace:
    found = _steps(count)
    others = [_span(step) for step in found if step.call is None and step.reward is None]
    return _trace(found, spans=others, calls=[_call(step, step.call) for step in found if step.call is not None])


def _trace(
    found: list[Step],
    *,
    spans: list[SpanRecorded],
    calls: Sequence[CallRecorded] = (),
    spans_state_them: bool = False,
) -> Trace:
    rewards = [
        TraceReward(
            id=f"re-{step.id}",
            given=RewardGiven(
                rollout_id=_ROLLOUT, attempt_id=_ATTEMPT, target=_TARGET, value=step.reward, judge="agent"
            ),
            span_id=step.id if spans_state_them else None,
            given_at=step.began * NANOSECONDS,
        )
        for step in found
        if step.reward is not None
    ]
    positions = {f"re-{step.id}" if step.reward is not None else step.id: place for place, step in enumerate(found)}
    return Trace(
        rollout_id=_ROLLOUT,
        attempt_id=_ATTEMPT,
        task_id="ta-1",
        status="succeeded",
        exit_status="completed",
        calls=tuple(calls),
        spans=tuple(spans),
        rewards=tuple(rewards),
        positions=positions,
    )


def _span(step: Step) -> SpanRecorded:
    return SpanRecorded(
        rollout_id=_ROLLOUT,
        attempt_id=_ATTEMPT,
        span_id=step.id,
        parent_id=step.parent,
        name=step.name,
        attributes=step.attributes,
        started_at=step.began * NANOSECONDS,
        ended_at=step.ended * NANOSECONDS,
    )


def _call(step: Step, call: Any) -> CallRecorded:
    answer = Choice(
        message=Message(role="assistant", content=call.answer),
        finish_reason="stop",
        token_ids=tuple(call.sampled_ids),
        logprobs=tuple(call.logprobs),
    )
    asked = ModelCall(
        model="policy",
        messages=(Message(role="system", content=call.system), Message(role="user", content=call.question)),
        sampling=Sampling(temperature=1.0, top_p=1.0, max_tokens=256),
        choices=(answer,),
        prompt_token_ids=tuple(call.prompt_ids),
        response_id=f"chatcmpl-{call.number}",
        provenance="engine",
        logprobs_mode="processed",
    )
    return CallRecorded(
        rollout_id=_ROLLOUT,
        attempt_id=_ATTEMPT,
        call_id=step.id,
        call=asked,
        agent=step.agent,
        started_at=step.began * NANOSECONDS,
        latency=float(step.ended - step.began),
    )


if __name__ == "__main__":
    serve({"decode": decode, "matched": matched, "rows": rows})
