"""`gen_ai.evaluation.result` becomes a reward of the call, the span or the rollout that it is about."""

from __future__ import annotations

from typing import Any

import pytest

from agl_core.events import CallRecorded, ModelCall, RewardGiven, Target
from agl_core.recorder import Recorder, Scope
from agl_core.spans.context import root_of, traceparent

from .conftest import SPAN, TRACE, Scene, attribute

pytestmark = pytest.mark.anyio

NAME, VALUE = "gen_ai.evaluation.name", "gen_ai.evaluation.score.value"


def record(value: Any = {"doubleValue": 0.5}, *said: dict[str, Any], **changes: Any) -> dict[str, Any]:  # noqa: B006 - never changed
    """An evaluation, as OTLP has it."""
    attributes = [attribute(NAME, "relevance"), {"key": VALUE, "value": value}, *said]
    return {"eventName": "gen_ai.evaluation.result", "timeUnixNano": "5", "attributes": attributes, **changes}


async def sent(scene: Scene, *records: dict[str, Any]) -> Any:
    """The answer to these, sent for the attempt under way."""
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}
    answer = await scene.post(f"{scene.url}/logs", body)
    assert answer.status == 200
    return answer.body


async def test_an_evaluation_is_a_reward_with_its_explanation(scene: Scene):
    """Its name, its value, and all else it says as evidence."""
    await sent(scene, record({"intValue": "1"}, attribute("gen_ai.evaluation.explanation", "close")))

    (reward,) = scene.facts("reward.given")
    assert isinstance(reward, RewardGiven)
    assert (reward.name, reward.value, reward.attempt_id) == ("relevance", 1.0, scene.first.attempt_id)
    assert reward.target == Target(kind="rollout", id=scene.first.rollout_id)
    assert reward.evidence == {NAME: "relevance", "gen_ai.evaluation.explanation": "close"}


async def test_an_evaluation_is_of_what_it_names(scene: Scene):
    """The call with that response, else the span around it; the attempt's own id is that of the rollout."""
    attempt = Scope(
        recorder=Recorder(scene.store.log),
        run_id=None,
        rollout_id=scene.first.rollout_id,
        attempt_id=scene.first.attempt_id,
    )
    call = CallRecorded(
        call_id="ca-1",
        rollout_id=attempt.rollout_id,
        attempt_id=attempt.attempt_id,
        call=ModelCall(model="policy", response_id="chatcmpl-1"),
        started_at=1,
        latency=0.1,
    )
    attempt.recorder.record(call, attempt).result()
    around = {"traceId": TRACE, "spanId": SPAN}
    issued = str(traceparent(attempt.attempt_id)).split("-")[1]

    await sent(
        scene,
        record({"intValue": "1"}, attribute("gen_ai.response.id", "chatcmpl-1"), **around),
        record({"intValue": "2"}, attribute("gen_ai.response.id", "chatcmpl-2"), **around),
        record({"intValue": "3"}, traceId=issued, spanId=root_of(attempt.attempt_id), timeUnixNano="6"),
    )

    targets = {reward.value: reward.target for reward in scene.facts("reward.given")}
    assert targets == {
        1.0: Target(kind="call", id="ca-1"),
        2.0: Target(kind="span", id=SPAN),
        3.0: Target(kind="rollout", id=attempt.rollout_id),
    }


async def test_an_evaluation_that_is_sent_again_is_one(scene: Scene):
    """The same words at the same time."""
    for _ in range(2):
        await sent(scene, record(), record())

    assert len(scene.facts("reward.given")) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        record({"stringValue": "good"}),
        record({"doubleValue": "NaN"}),
        record({"boolValue": True}),
        record({}),
        record(attributes=[]),
        record(eventName="gen_ai.client.inference.operation.details"),
        record(eventName=None),
        record(attributes=[*record()["attributes"], attribute("agentlightning.attempt_id", "at-9")]),
    ],
)
async def test_what_is_no_evaluation_is_counted(scene: Scene, wrong: dict[str, Any]):
    """And its neighbour is kept."""
    answer = await sent(scene, wrong, record())

    assert answer["partialSuccess"]["rejectedLogRecords"] == "1"
    assert answer["partialSuccess"]["errorMessage"]
    assert len(scene.facts("reward.given")) == 1


async def test_the_older_way_to_name_an_event_is_understood(scene: Scene):
    """As an attribute."""
    await sent(scene, record({"doubleValue": 0.5}, attribute("event.name", "gen_ai.evaluation.result"), eventName=None))

    assert len(scene.facts("reward.given")) == 1
