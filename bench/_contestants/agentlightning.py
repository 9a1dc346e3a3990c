"""Agent Lightning 0.3.0, in its own environment: its store in memory, or behind its own HTTP server."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any

from agentlightning.store.memory import InMemoryLightningStore
from agentlightning.types import Span

from bench._contestants._serve import serve
from bench._workload import calls


def append(count: int, batch: int, event: str) -> dict[str, float]:
    """`add_span`, or `add_many_spans` of a batch; nothing becomes durable."""
    return asyncio.run(_append(count, batch, event))


async def _append(count: int, batch: int, event: str) -> dict[str, float]:
    store = InMemoryLightningStore()
    await store.enqueue_rollout({"question": "6*7"})
    rollout = await store.dequeue_rollout("bench")
    spans = _spans(count, event, rollout)
    before = perf_counter()
    if batch == 1:
        for span in spans:
            await store.add_span(span)
    else:
        for start in range(0, count, batch):
            await store.add_many_spans(spans[start : start + batch])
    return {"events/s": count / (perf_counter() - before)}


def _spans(count: int, event: str, rollout: Any) -> list[Span]:
    made = ({"text": f"note {number}"} for number in range(count))
    attributes = made if event == "tiny" else (call.attributes() for call in calls(count))
    return [
        Span.from_attributes(
            attributes=each,
            rollout_id=rollout.rollout_id,
            attempt_id=rollout.attempt.attempt_id,
            sequence_id=number,
            name="chat",
            trace_id=f"{1:032x}",
            span_id=f"{number:016x}",
            start_time=1.0,
            end_time=1.25,
        )
        for number, each in enumerate(attributes, 1)
    ]


if __name__ == "__main__":
    serve({"append": append})
