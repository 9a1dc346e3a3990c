"""However spans come, in whatever batches and however often: each is in the log once, and none is missing."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

import agl_core as agl
from agl_core.gateway._attribution import Attribution
from agl_core.gateway._intake import Intake, traces
from agl_core.spans.context import ATTEMPT
from agl_core.spans.otlp import Sent, SentSpan

TRACES, SPANS = ["0a" * 16, "0b" * 16], ["01" * 8, "02" * 8, "03" * 8]
WHOSE = [0, 1, None, "at-nobody"]
"""The first attempt, the second, one that is not said, one that is not there."""

Said = tuple[str, str, int | str | None]
batches = st.lists(
    st.lists(st.tuples(st.sampled_from(TRACES), st.sampled_from(SPANS), st.sampled_from(WHOSE)), max_size=6), max_size=6
)


def span(trace_id: str, span_id: str, attempt_id: str | None) -> SentSpan:
    """One of that attempt's."""
    return SentSpan(
        trace_id=trace_id, span_id=span_id, parent_id=None, trace_state=None, name="work", kind="internal",
        attributes={ATTEMPT: attempt_id} if attempt_id else {}, events=(), links=(), status="unset",
        status_message=None, started_at=1, ended_at=2, resource={}, scope={},
    )  # fmt: skip


@settings(max_examples=20)
@given(batches)
def test_every_span_is_kept_once_and_none_is_missing(batches: list[list[Said]]):
    """With its attempt, or apart: when the attempt is unknown, or another trace's span has its id there."""
    asyncio.run(story(batches))


async def story(batches: list[list[Said]]) -> None:
    """Send them all, then all again."""
    with agl.open_log(":memory:") as log:
        store = agl.Store(log)
        attempts = [(await store.start_rollout({"n": number})).attempt_id for number in range(2)]

        def named(whose: int | str | None) -> str | None:
            return attempts[whose] if isinstance(whose, int) else whose

        async def send() -> None:
            intake = Intake(log)
            for batch in batches:
                whose = Attribution(log, store.ask, token=b"", covers_all=True, headers={})
                sent = Sent(tuple(span(trace, id_, named(one)) for trace, id_, one in batch))
                await intake.keep(traces(sent, whose))

        await send()
        head = log.head()
        await send()
        assert log.head() == head

        kept = [record.event for record in log.read(types=["span.recorded"])]
        apart = [record.event for record in log.read(types=["span.unassigned"])]
        store.close()

    assert all(count == 1 for count in Counter((one.attempt_id, one.span_id) for one in kept).values())
    assert all(count == 1 for count in Counter((one.trace_id, one.span_id) for one in apart).values())
    owned = {(one.trace_id, one.span_id, one.attempt_id) for one in kept}
    strays = {(one.trace_id, one.span_id) for one in apart}
    for batch in batches:
        for trace, id_, whose in batch:
            assert (trace, id_, named(whose)) in owned or (trace, id_) in strays
