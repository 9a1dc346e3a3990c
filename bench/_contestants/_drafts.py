"""The workload as events of ours."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

from agl_core.events import CallRecorded, Choice, Message, ModelCall, NoteTaken, Sampling, Usage
from agl_core.ids import new_id
from agl_core.record import Draft
from bench._workload import PROMPT, SAMPLED, Call, calls

__all__ = ["batches", "drafts"]

_STARTED = 1_767_225_600_000_000_000


def drafts(count: int, *, event: str, seed: int = 0) -> list[Draft]:
    """`call`: calls of 3.3 KB, a hundred to an attempt. `tiny`: notes of a few words."""
    if event == "tiny":
        return [Draft(stream="run/rn-bench", event=NoteTaken(text=f"note {number}")) for number in range(count)]
    attempts = [(new_id("ro"), new_id("at")) for _ in range(count // 100 + 1)]
    return [_call(call, *attempts[call.number // 100]) for call in calls(count, seed=seed)]


def batches(found: Sequence[Draft], size: int) -> Iterator[Sequence[Draft]]:
    """As many at a time as are appended together."""
    return (found[start : start + size] for start in range(0, len(found), size))


def _call(call: Call, rollout_id: str, attempt_id: str) -> Draft:
    event = CallRecorded(
        call_id=new_id("ca"),
        rollout_id=rollout_id,
        attempt_id=attempt_id,
        call=ModelCall(
            model="policy",
            messages=(Message(role="system", content=call.system), Message(role="user", content=call.question)),
            sampling=Sampling(temperature=1.0, top_p=1.0, max_tokens=256),
            choices=(
                Choice(
                    message=Message(role="assistant", content=call.answer),
                    finish_reason="stop",
                    token_ids=tuple(call.sampled_ids),
                    logprobs=tuple(array("f", call.logprobs)),  # as the gateway reads them
                ),
            ),
            prompt_token_ids=tuple(call.prompt_ids),
            usage=Usage(prompt_tokens=PROMPT, completion_tokens=SAMPLED),
            response_id=f"chatcmpl-{call.number}",
            provenance="engine",
            logprobs_mode="processed",
        ),
        http_status=200,
        policy_version=1,
        started_at=_STARTED + call.number,
        latency=0.25,
    )
    return Draft(stream=f"rollout/{rollout_id}", event=event, key=f"call/{event.call_id}", correlation_id=rollout_id)
