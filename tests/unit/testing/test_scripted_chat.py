"""Chat completions of the test double, as the OpenAI SDK reads them: streamed and not, the same is said."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from agl_core.events import ToolCall, Usage
from agl_core.testing import Answer, ScriptedModel

openai = pytest.importorskip("openai")

TWO_CALLS = (
    ToolCall(id="c1", name="add", arguments='{"a": 1, "b": 2}'),
    ToolCall(id="c2", name="now", arguments=""),
)
ANSWERS = {
    "text": Answer(text="four é and more"),
    "empty": Answer(),
    "reasoning": Answer(reasoning="two and two", text="four"),
    "refusal": Answer(refusal="I had rather not."),
    "calls": Answer(text="let me see", tool_calls=TWO_CALLS),
    "only calls": Answer(tool_calls=TWO_CALLS),
    "own tokens": Answer(text="four and five", token_ids=(7, 8, 9), logprobs=(-0.5, -0.25, -1.0)),
    "more tokens than pieces": Answer(text="four", token_ids=tuple(range(9))),
    "own pieces": Answer(text="a bc", pieces=("a", " ", "", "bc")),
}


@pytest.fixture
def anyio_backend() -> str:
    """Any event loop will do."""
    return "asyncio"


def client(model: ScriptedModel) -> Any:
    """An SDK that does not try again."""
    return openai.OpenAI(base_url=model.url, api_key="none", max_retries=0)


def ask(model: ScriptedModel, **changes: Any) -> Any:
    """One chat completion, with everything it can report; the chunks when it is streamed."""
    messages = [{"role": "user", "content": "2+2?"}]
    asked = {"model": "policy", "messages": messages, "logprobs": True, "extra_body": {"return_token_ids": True}}
    with client(model) as sdk:
        found = sdk.chat.completions.create(**{**asked, **changes})
        return (
            [chunk.model_dump(exclude_unset=True) for chunk in found]
            if changes.get("stream")
            else found.model_dump(exclude_unset=True)
        )


def joined(chunks: list[dict[str, Any]], index: int = 0) -> dict[str, Any]:
    """One choice of a stream, put together by the rules of the API."""
    message: dict[str, Any] = {}
    calls: dict[int, dict[str, Any]] = {}
    ids: list[int] = []
    logprobs: list[Any] = []
    finish = None
    for choice in (one for chunk in chunks for one in chunk["choices"] if one["index"] == index):
        for name, value in choice["delta"].items():
            if name == "tool_calls":
                for call in value:
                    if call["index"] in calls:
                        calls[call["index"]]["function"]["arguments"] += call["function"]["arguments"]
                    else:
                        calls[call["index"]] = {name: value for name, value in call.items() if name != "index"}
            else:
                message[name] = value if message.get(name) is None else message[name] + value
        ids += choice.get("token_ids", [])
        logprobs += (choice["logprobs"] or {}).get("content", [])
        finish = choice["finish_reason"] or finish
    if calls:
        message["tool_calls"] = [calls[place] for place in sorted(calls)]
    told = {"content": logprobs} if logprobs else None
    return {"index": index, "message": message, "finish_reason": finish, "logprobs": told, "token_ids": ids}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_joined_deltas_are_the_unstreamed_answer(answer: Answer):
    """Text, reasoning, refusal, tool calls, tokens and log-probabilities."""
    with ScriptedModel(answer) as model:
        whole, chunks = ask(model), ask(model, stream=True)

    assert joined(chunks) == whole["choices"][0]


@pytest.mark.parametrize("limit", [1, 5, 9, 16, 30, 60])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_cut_answer_is_the_same_in_both_modes(answer: Answer, limit: int):
    """Wherever the limit cuts it: within the reasoning, within a character, within a tool call."""
    with ScriptedModel(answer) as model:
        whole, chunks = ask(model, max_tokens=limit), ask(model, max_tokens=limit, stream=True)

    assert joined(chunks) == whole["choices"][0]
    assert answer.token_ids or len(whole["choices"][0]["token_ids"]) <= limit


def test_a_stream_begins_with_the_role_and_ends_with_the_reason():
    """What lies between are deltas."""
    with ScriptedModel("12345") as model:
        chunks = [chunk["choices"][0] for chunk in ask(model, stream=True)]

    assert [chunk["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"content": "1234"},
        {"content": "5"},
        {},
    ]
    assert [chunk["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert [chunk.get("token_ids") for chunk in chunks] == [None, [*b"1234"], [*b"5"], [256]]


def test_prompt_tokens_are_in_the_first_chunk_only():
    """As vLLM sends them."""
    with ScriptedModel("four") as model:
        whole, chunks = ask(model), ask(model, stream=True)

    assert chunks[0]["prompt_token_ids"] == whole["prompt_token_ids"]
    assert all("prompt_token_ids" not in chunk for chunk in chunks[1:])


def test_a_stream_tells_tokens_and_logprobs_only_when_asked():
    """As from a server that speaks OpenAI's dialect."""
    with ScriptedModel("four") as model:
        chunks = ask(model, stream=True, logprobs=False, extra_body={})

    assert all("token_ids" not in chunk["choices"][0] for chunk in chunks)
    assert all(chunk["choices"][0]["logprobs"] is None for chunk in chunks)
    assert "prompt_token_ids" not in chunks[0]


def test_usage_comes_last_and_without_choices_when_it_is_asked_for():
    """Until then it is null, and otherwise it is not there at all."""
    with ScriptedModel("four") as model:
        whole = ask(model)
        asked = ask(model, stream=True, stream_options={"include_usage": True})
        unasked = ask(model, stream=True)

    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"] == whole["usage"]
    assert all(chunk["usage"] is None for chunk in asked[:-1])
    assert all("usage" not in chunk for chunk in unasked)


def test_usage_is_what_the_answer_says_it_is():
    """For tests of what counts tokens."""
    answer = Answer(text="four", reasoning="2+2", usage=Usage(prompt_tokens=7, completion_tokens=5), cached_tokens=6)
    with ScriptedModel(answer) as model:
        usage = ask(model)["usage"]

    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (7, 5, 12)
    assert usage["prompt_tokens_details"] == {"cached_tokens": 6}
    assert usage["completion_tokens_details"] == {"reasoning_tokens": len(b"<think>2+2</think>")}


def test_choices_are_what_the_script_gives_for_each():
    """Their pieces come in turns."""
    with ScriptedModel([Answer(text="a" * 8), Answer(tool_calls=TWO_CALLS)]) as model:
        whole, chunks = ask(model, n=2), ask(model, n=2, stream=True)

    assert [joined(chunks, index) for index in (0, 1)] == whole["choices"]
    assert [chunk["choices"][0]["index"] for chunk in chunks[:6]] == [0, 1, 0, 1, 0, 1]


def test_one_answer_is_given_as_often_as_it_is_asked_for():
    """With tool calls and log-probabilities that tell the choices apart."""
    with ScriptedModel(Answer(tool_calls=TWO_CALLS)) as model:
        first, second = ask(model, n=2)["choices"]

    assert [call["id"] for call in first["message"]["tool_calls"]] == ["c1", "c2"]
    assert [call["id"] for call in second["message"]["tool_calls"]] == ["c1-1", "c2-1"]
    assert first["token_ids"] == second["token_ids"]
    assert first["logprobs"] != second["logprobs"]


def test_top_logprobs_are_as_many_as_were_asked_for():
    """The sampled token is the likeliest."""
    with ScriptedModel("4") as model:
        entry = ask(model, top_logprobs=3)["choices"][0]["logprobs"]["content"][0]

    assert [one["token"] for one in entry["top_logprobs"]] == ["4", "5", "6"]
    assert entry["top_logprobs"][0]["logprob"] == entry["logprob"]


def test_reasoning_that_is_sent_back_keeps_the_prefix():
    """The next prompt begins with this prompt and all that was sampled."""
    with ScriptedModel(Answer(reasoning="hm", text="four")) as model:
        first = ask(model)
        again = [{"role": "user", "content": "2+2?"}, first["choices"][0]["message"], {"role": "user", "content": "ok"}]
        second = ask(model, messages=again)

    before = first["prompt_token_ids"] + first["choices"][0]["token_ids"]
    assert second["prompt_token_ids"][: len(before)] == before


def test_a_piece_arrives_before_the_next_is_made():
    """The server waits at the gate, and the client has all that came before it."""
    gate = threading.Semaphore(0)
    with (
        ScriptedModel(Answer(text="one two", pieces=("one", " two"), gate=gate.acquire)) as model,
        client(model) as sdk,
    ):
        messages = [{"role": "user", "content": "?"}]
        chunks = iter(sdk.chat.completions.create(model="policy", messages=messages, stream=True))
        opening = next(chunks).choices[0].delta.role
        gate.release()
        first = next(chunks).choices[0].delta.content
        gate.release()
        rest = [chunk.choices[0].delta.content for chunk in chunks]

    assert (opening, first, rest) == ("assistant", "one", [" two", None])


def test_pieces_that_are_not_the_text_are_refused():
    """A test with two minds about its answer is wrong."""
    with pytest.raises(ValueError, match="make them the same"):
        Answer(text="one two", pieces=("one",))


@pytest.mark.anyio
async def test_the_asynchronous_client_reads_the_same():
    """It is another parser of the same stream."""
    with ScriptedModel(ANSWERS["calls"]) as model:
        whole = ask(model)
        async with openai.AsyncOpenAI(base_url=model.url, api_key="none", max_retries=0) as sdk:
            stream = await sdk.chat.completions.create(
                model="policy",
                messages=[{"role": "user", "content": "2+2?"}],
                logprobs=True,
                stream=True,
                extra_body={"return_token_ids": True},
            )
            chunks = [chunk.model_dump(exclude_unset=True) async for chunk in stream]

    assert joined(chunks) == whole["choices"][0]


def test_the_sdks_own_assembly_makes_the_same_of_it():
    """Its accumulator is stricter than ours."""
    with ScriptedModel(ANSWERS["calls"]) as model, client(model) as sdk:
        messages: Any = [{"role": "user", "content": "2+2?"}]
        with sdk.chat.completions.stream(model="policy", messages=messages) as stream:
            choice = stream.get_final_completion().choices[0]

    assert choice.message.content == "let me see"
    assert [call.function.arguments for call in choice.message.tool_calls] == ['{"a": 1, "b": 2}', ""]
    assert choice.finish_reason == "tool_calls"
