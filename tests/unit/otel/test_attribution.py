"""Whose a span is: the first way that says so, believed as far as the token goes; nobody's spans are kept apart."""

from __future__ import annotations

from typing import Any

import pytest

from agl_core.events import SpanUnassigned
from agl_core.ids import new_id
from agl_core.spans.context import attempt_of, root_of, traceparent
from agl_core.store import AttemptedRollout

from .conftest import SPAN, TRACE, Scene, attribute, request, span

pytestmark = pytest.mark.anyio

ROLLOUT, ATTEMPT = "agentlightning.rollout_id", "agentlightning.attempt_id"


def ids(attempt: AttemptedRollout) -> dict[str, str]:
    """As a resource says them."""
    return {ROLLOUT: attempt.rollout_id, ATTEMPT: attempt.attempt_id}


def issued(attempt: AttemptedRollout) -> str:
    """The trace id that was issued for it."""
    found = traceparent(attempt.attempt_id)
    assert found is not None
    return found.split("-")[1]


def test_an_attempt_is_found_again_by_its_trace_id():
    """Whatever its id; and it is one that W3C allows."""
    for _ in range(100):
        attempt_id = new_id("at")
        found = traceparent(attempt_id)
        assert found is not None
        version, trace_id, parent, flags = found.split("-")
        assert (version, len(trace_id), parent, flags) == ("00", 32, root_of(attempt_id), "01")
        assert attempt_of(trace_id) == attempt_id


@pytest.mark.parametrize("strange", ["at-1", "at-", "mine", "at-" + "z" * 26, "at-" + "0" * 26, "ro-" + "1" * 26])
def test_an_id_of_another_shape_has_no_trace(strange: str):
    """Nothing is made up for it."""
    assert traceparent(strange) is None


@pytest.mark.parametrize("way", ["span", "resource", "baggage", "trace", "header", "rollout alone"])
async def test_each_way_leads_to_the_attempt(scene: Scene, way: str):
    """At the gateway's own route, with the attempt's own token."""
    first = scene.first
    members = ",".join(f"{name}={value};ttl=1" for name, value in ids(first).items())
    how: dict[str, Any] = {
        "span": {"one": span(attributes=[attribute(*pair) for pair in ids(first).items()])},
        "resource": {"one": span(), "resource": ids(first)},
        "baggage": {"one": span(), "headers": {"baggage": f"a=b, {members}"}},
        "trace": {"one": span(traceId=issued(first).upper())},
        "header": {
            "one": span(),
            "headers": {"x-agl-rollout-id": first.rollout_id, "x-agl-attempt-id": first.attempt_id},
        },
        "rollout alone": {"one": span(), "resource": {ROLLOUT: first.rollout_id}},
    }[way]

    answer = await scene.traces(how.pop("one"), **how)

    assert (answer.status, answer.body) == (200, {})
    (kept,) = scene.facts("span.recorded")
    assert (kept.rollout_id, kept.attempt_id) == (first.rollout_id, first.attempt_id)


async def test_what_a_span_says_itself_goes_before_all_else(scene: Scene):
    """In the order: span, resource, baggage, trace, header, URL."""
    attempts = [await scene.store.start_rollout({"q": number}) for number in range(6)]
    of_span, of_resource, of_baggage, of_trace, of_header, of_url = attempts
    members = ",".join(f"{name}={value}" for name, value in ids(of_baggage).items())
    url = f"{scene.base}/rollout/{of_url.rollout_id}/attempt/{of_url.attempt_id}/v1/traces"
    said = [attribute(*pair) for pair in ids(of_span).items()]
    ways: list[tuple[Any, Any]] = [
        (request(span(spanId="01" * 8, traceId=issued(of_trace), attributes=said), resource=ids(of_resource)), of_span),
        (request(span(spanId="02" * 8, traceId=issued(of_trace)), resource=ids(of_resource)), of_resource),
        (request(span(spanId="03" * 8, traceId=issued(of_trace))), of_baggage),
        (request(span(spanId="04" * 8, traceId=issued(of_trace))), of_trace),
        (request(span(spanId="05" * 8)), of_header),
        (request(span(spanId="06" * 8)), of_url),
    ]

    for number, (body, _) in enumerate(ways):
        headers = {"baggage": members} if number < 3 else {}
        headers |= {"x-agl-rollout-id": of_header.rollout_id} if number < 5 else {}
        answer = await scene.post(url, body, key=scene.token, headers=headers)
        assert (answer.status, answer.body) == (200, {})

    kept = {one.span_id: one.attempt_id for one in scene.facts("span.recorded")}
    assert kept == {f"{number:02}" * 8: attempt.attempt_id for number, (_, attempt) in enumerate(ways, start=1)}


async def test_the_attempts_own_id_is_no_spans_parent(scene: Scene):
    """What hangs from `TRACEPARENT` stands at the top; what hangs from a span hangs there."""
    trace, root = issued(scene.first), root_of(scene.first.attempt_id)

    await scene.traces(span(traceId=trace, parentSpanId=root), span(traceId=trace, spanId="0a" * 8, parentSpanId=SPAN))

    assert [one.parent_id for one in scene.facts("span.recorded")] == [None, SPAN]


async def test_a_span_of_nobody_is_kept_apart_once(scene: Scene):
    """Whole, with the reason, in the stream `log`."""
    for _ in range(2):
        answer = await scene.traces(span(), key=scene.token)
        assert (answer.status, answer.body) == (200, {})

    (kept,) = scene.facts("span.unassigned")
    assert isinstance(kept, SpanUnassigned)
    assert (kept.trace_id, kept.span_id, kept.name) == (TRACE, SPAN, "work")
    assert ROLLOUT in kept.why
    assert not scene.facts("span.recorded")


@pytest.mark.parametrize(
    "strange", [{ROLLOUT: "ro-9"}, {ATTEMPT: "at-9"}, {ROLLOUT: "ro-9", ATTEMPT: "at-9"}], ids=["ro", "at", "both"]
)
async def test_a_span_that_names_somebody_unknown_is_nobodys(scene: Scene, strange: dict[str, str]):
    """It is not put down to whomever the URL names: the span knows better."""
    answer = await scene.post(f"{scene.url}/traces", request(span(), resource=strange))

    assert answer.status == 200
    (kept,) = scene.facts("span.unassigned")
    assert "9" in kept.why
    assert not scene.facts("span.recorded")


async def test_a_token_goes_no_further_than_its_attempt(scene: Scene):
    """A span put down to another attempt is kept apart, and never in that attempt's trace."""
    other = await scene.store.start_rollout({"q": 2})

    answer = await scene.traces(span(), span(spanId="0b" * 8, traceId=issued(scene.first)), resource=ids(other))
    mixed = await scene.traces(
        span(attributes=[attribute(*pair) for pair in ids(other).items()]),
        span(spanId="0b" * 8, traceId=issued(scene.first)),
    )

    assert answer.status == 401
    assert mixed.status == 200
    assert [one.attempt_id for one in scene.facts("span.recorded")] == [scene.first.attempt_id]
    (apart,) = scene.facts("span.unassigned")
    assert other.attempt_id in apart.why


async def test_the_logs_token_is_good_for_every_attempt(scene: Scene):
    """A service that works for many sends what it has in one request."""
    other = await scene.store.start_rollout({"q": 2})

    answer = await scene.traces(
        span(traceId=issued(scene.first)), span(spanId="0c" * 8, traceId=issued(other)), key=scene.token
    )

    assert (answer.status, answer.body) == (200, {})
    assert [one.attempt_id for one in scene.facts("span.recorded")] == [scene.first.attempt_id, other.attempt_id]


async def test_a_span_says_its_agent_and_its_place(scene: Scene):
    """By attributes, of the span or of who sends it."""
    number = {"key": "agentlightning.span_sequence_id", "value": {"intValue": "7"}}

    await scene.traces(span(attributes=[number]), resource={**ids(scene.first), "agl.agent.name": "writer"})

    (kept,) = scene.facts("span.recorded")
    assert (kept.agent, kept.sequence_id) == ("writer", 7)
