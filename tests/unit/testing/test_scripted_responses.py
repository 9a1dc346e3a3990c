"""The responses API of the test double, as the OpenAI SDK reads it: streamed and not, the same is said."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from agl_core.events import ToolCall, Usage
from agl_core.testing import Answer, Broken, Failing, Malformed, Refusal, ScriptedModel, Unfinished, in_turn

openai = pytest.importorskip("openai")

TWO_CALLS = (
    ToolCall(id="c1", name="add", arguments='{"a": 1, "b": 2}'),
    ToolCall(id="c2", name="now", arguments="{}"),
)
ANSWERS = {
    "text": Answer(text="four é and more"),
    "empty": Answer(),
    "reasoning": Answer(reasoning="two and two", text="four"),
    "refusal": Answer(refusal="I had rather not."),
    "text and refusal": Answer(text="well", refusal="no"),
    "calls": Answer(reasoning="hm", text="let me see", tool_calls=TWO_CALLS),
    "only calls": Answer(tool_calls=TWO_CALLS),
    "own tokens": Answer(text="four and five", token_ids=(7, 8, 9), logprobs=(-0.5, -0.25, -1.0)),
}


@pytest.fixture
def anyio_backend() -> str:
    """Any event loop will do."""
    return "asyncio"


def client(model: ScriptedModel, **options: Any) -> Any:
    """An SDK that does not try again, unless it is to."""
    return openai.OpenAI(base_url=model.url, api_key="none", **{"max_retries": 0, **options})


def ask(model: ScriptedModel, **changes: Any) -> Any:
    """One response with log-probabilities; the events when it is streamed."""
    asked = {"model": "policy", "input": "2+2?", "include": ["message.output_text.logprobs"], **changes}
    with client(model) as sdk:
        found = sdk.responses.create(**asked)
        if asked.get("stream"):
            return [event.model_dump(exclude_unset=True) for event in found]
        return found.model_dump(exclude_unset=True)


def joined(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The output of a stream, from its deltas alone; of what is done only the status is read."""
    output: list[dict[str, Any]] = []
    for event in events:
        place, kind = event.get("output_index"), event["type"].removeprefix("response.")
        if kind == "output_item.added":
            output.append(event["item"])
        elif kind == "output_item.done" and "status" in event["item"]:
            output[place]["status"] = event["item"]["status"]
        elif kind.endswith("part.added"):
            output[place]["summary" if "summary_index" in event else "content"].append(event["part"])
        elif kind == "function_call_arguments.delta":
            output[place]["arguments"] += event["delta"]
        elif kind.endswith(".delta"):
            name = "summary" if "summary_index" in event else "content"
            part = output[place][name][event[f"{name}_index"]]
            part["refusal" if kind == "refusal.delta" else "text"] += event["delta"]
            if "logprobs" in event:
                part["logprobs"] += event["logprobs"]
    return output


def without_ids(output: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """They tell which request it was."""
    return [{name: value for name, value in item.items() if name != "id"} for item in output]


@pytest.mark.parametrize("changes", [{}, {"reasoning": {"summary": "auto"}}, {"max_output_tokens": 9}], ids=repr)
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_joined_deltas_are_the_unstreamed_answer(answer: Answer, changes: dict[str, Any]):
    """Each item of the output, with its log-probabilities, and the response that the last event tells."""
    with ScriptedModel(answer) as model:
        whole, events = ask(model, **changes), ask(model, stream=True, **changes)

    told = events[-1]["response"]
    assert without_ids(joined(events)) == without_ids(told["output"]) == without_ids(whole["output"])
    assert told["usage"] == whole["usage"]
    assert told["status"] == whole["status"]
    assert events[-1]["type"] == f"response.{whole['status']}"


def test_events_come_in_the_order_of_the_api():
    """Each is numbered, and named as its data says it is."""
    with ScriptedModel(Answer(reasoning="hm", text="four", tool_calls=TWO_CALLS[1:])) as model:
        events = ask(model, stream=True)

    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]


def test_every_event_has_its_name_beside_its_data():
    """There is no `[DONE]`."""
    with ScriptedModel("four") as model:
        body = {"model": "policy", "input": "?", "stream": True}
        lines = httpx.post(f"{model.url}/responses", json=body).text.splitlines()

    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert (names[0], names[-1]) == ("response.created", "response.completed")
    assert len(names) * 3 == len(lines)
    assert "data: [DONE]" not in lines


def test_a_cut_response_is_incomplete():
    """It says why."""
    with ScriptedModel("abcdef") as model:
        whole = ask(model, max_output_tokens=3)

    assert whole["status"] == "incomplete"
    assert whole["incomplete_details"] == {"reason": "max_output_tokens"}
    assert whole["output"][0]["content"][0]["text"] == "abc"


def test_usage_is_what_the_answer_says_it_is():
    """In the names of this API."""
    answer = Answer(text="four", usage=Usage(prompt_tokens=7, completion_tokens=5), cached_tokens=6)
    with ScriptedModel(answer) as model:
        usage = ask(model)["usage"]

    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (7, 5, 12)
    assert usage["input_tokens_details"]["cached_tokens"] == 6


def test_an_answer_that_is_sent_back_is_read_as_one_turn():
    """The next prompt is longer by what was sampled and what came after it."""
    with ScriptedModel(ANSWERS["calls"]) as model:
        first = ask(model)
        output = [{key: value for key, value in item.items() if value is not None} for item in first["output"]]
        result = {"type": "function_call_output", "call_id": "c1", "output": "3"}
        second = ask(model, input=[{"role": "user", "content": "2+2?"}, *output, result])

    added = len(b"tool:3.assistant:")
    used = first["usage"]
    assert second["usage"]["input_tokens"] == used["total_tokens"] + added


@pytest.mark.parametrize("changes", [{"input": []}, {"input": 3}, {"previous_response_id": "resp_0"}], ids=repr)
def test_what_is_no_input_is_refused(changes: dict[str, Any]):
    """Nothing is kept for later responses."""
    with ScriptedModel() as model, pytest.raises(openai.BadRequestError):
        ask(model, **changes)


def test_a_piece_arrives_before_the_next_is_made():
    """The server waits at the gate, and the client has all that came before it."""
    gate = threading.Semaphore(0)
    with (
        ScriptedModel(Answer(text="one two", pieces=("one", " two"), gate=gate.acquire)) as model,
        client(model) as sdk,
    ):
        events = iter(sdk.responses.create(model="policy", input="?", stream=True))
        opening = [next(events).type for _ in range(4)]
        gate.release()
        first = next(events).delta
        gate.release()
        rest = [event.type for event in events]

    assert opening[-1] == "response.content_part.added"
    assert first == "one"
    assert rest[0] == "response.output_text.delta"


def test_the_sdks_own_assembly_makes_the_same_of_it():
    """Its accumulator checks the identity of every item."""
    with (
        ScriptedModel(ANSWERS["calls"]) as model,
        client(model) as sdk,
        sdk.responses.stream(model="policy", input="2+2?") as stream,
    ):
        told = stream.get_final_response()

    assert told.output_text == "let me see"
    assert [item.type for item in told.output] == ["reasoning", "message", "function_call", "function_call"]


@pytest.mark.anyio
async def test_the_asynchronous_client_reads_the_same():
    """It is another parser of the same stream."""
    with ScriptedModel(ANSWERS["calls"]) as model:
        async with openai.AsyncOpenAI(base_url=model.url, api_key="none", max_retries=0) as sdk:
            stream = await sdk.responses.create(model="policy", input="2+2?", stream=True)
            events = [event.model_dump(exclude_unset=True) async for event in stream]
            whole = await sdk.responses.create(model="policy", input="2+2?")

    assert events[-1]["response"]["output"][1]["content"][0]["text"] == whole.output_text


def test_a_failing_stream_tells_its_error_twice():
    """As an event, and as the response that failed."""
    with ScriptedModel(Failing(after=4, code="server_error")) as model:
        events = ask(model, stream=True)

    assert [event["type"] for event in events[4:]] == ["error", "response.failed"]
    assert [event["sequence_number"] for event in events] == list(range(6))
    assert events[4]["code"] == events[5]["response"]["error"]["code"] == "server_error"
    assert events[5]["response"]["status"] == "failed"


def test_an_unfinished_stream_does_not_say_that_it_is_complete():
    """All else is there."""
    with ScriptedModel(Unfinished(answer="four")) as model:
        events = ask(model, stream=True)

    assert events[-1]["type"] == "response.output_item.done"


@pytest.mark.parametrize("fault", [Broken(after=3), Malformed(after=3)], ids=type)
def test_a_fault_reaches_the_sdk(fault: Any):
    """The same faults as in a chat."""
    with ScriptedModel(fault) as model, pytest.raises((openai.APIError, httpx.HTTPError, ValueError)):
        ask(model, stream=True)


def test_the_sdk_tries_again_until_it_is_answered():
    """Each try of a call gets the next reply."""
    script = in_turn(Refusal(status=429, code="rate_limited", retry_after=0.01), "four")
    with ScriptedModel(script) as model, client(model, max_retries=1) as sdk:
        assert sdk.responses.create(model="policy", input="2+2?").output_text == "four"
