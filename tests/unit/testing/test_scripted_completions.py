"""Completions and embeddings of the test double, as the OpenAI SDK reads them."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from agl_core.events import ToolCall
from agl_core.testing import Answer, Asked, Broken, Failing, Refusal, ScriptedModel

openai = pytest.importorskip("openai")

ANSWERS = {
    "text": Answer(text="four é and more"),
    "empty": Answer(),
    "own tokens": Answer(text="four and five", token_ids=(7, 8, 9), logprobs=(-0.5, -0.25, -1.0)),
    "own pieces": Answer(text="a bc", pieces=("a", " ", "", "bc")),
    "what has no place": Answer(
        text="four", reasoning="2+2", refusal=" or not", tool_calls=(ToolCall(id="c", name="n", arguments="{}"),)
    ),
}


@pytest.fixture
def anyio_backend() -> str:
    """Any event loop will do."""
    return "asyncio"


def ask(model: ScriptedModel, **changes: Any) -> Any:
    """One completion, with everything it can report; the chunks when it is streamed."""
    asked = {"model": "policy", "prompt": "2+2=", "logprobs": 1, "extra_body": {"return_token_ids": True}, **changes}
    with openai.OpenAI(base_url=model.url, api_key="none", max_retries=0) as sdk:
        found = sdk.completions.create(**asked)
        if asked.get("stream"):
            return [chunk.model_dump(exclude_unset=True) for chunk in found]
        return found.model_dump(exclude_unset=True)


def joined(chunks: list[dict[str, Any]], index: int = 0) -> dict[str, Any]:
    """One choice of a stream, put together by the rules of the API."""
    first, *rest = (one for chunk in chunks for one in chunk["choices"] if one["index"] == index)
    for choice in rest:
        assert first["finish_reason"] is None
        first["text"] += choice["text"]
        first["finish_reason"] = choice["finish_reason"]
        first["token_ids"] += choice["token_ids"]
        for name, values in choice["logprobs"].items():
            first["logprobs"][name] += values
    return first


@pytest.mark.parametrize("limit", [None, 5, 3])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_joined_chunks_are_the_unstreamed_answer(answer: Answer, limit: int | None):
    """Text, tokens and log-probabilities, cut or not."""
    with ScriptedModel(answer) as model:
        whole, chunks = ask(model, max_tokens=limit), ask(model, max_tokens=limit, stream=True)

    assert joined(chunks) == whole["choices"][0]


def test_each_prompt_has_its_choices():
    """Those of the first prompt come first; each knows its own prompt."""
    with ScriptedModel([Answer(text=text) for text in "abcd"]) as model:
        asked = {"prompt": ["one", "two"], "n": 2}
        whole, chunks = ask(model, **asked), ask(model, **asked, stream=True)

    assert [choice["text"] for choice in whole["choices"]] == ["a", "b", "c", "d"]
    assert [bytes(choice["prompt_token_ids"]) for choice in whole["choices"]] == [b"one", b"one", b"two", b"two"]
    assert [joined(chunks, index) for index in range(4)] == whole["choices"]
    assert whole["usage"]["prompt_tokens"] == 6


def test_a_prompt_may_be_tokens():
    """They are the prompt's, as they are."""
    with ScriptedModel() as model:
        choice = ask(model, prompt=[1, 2, 3])["choices"][0]

    assert choice["prompt_token_ids"] == [1, 2, 3]


def test_tokens_and_logprobs_come_only_when_asked_for():
    """Zero log-probabilities beside the sampled ones are asked for, too."""
    with ScriptedModel("4") as model:
        unasked = ask(model, logprobs=None, extra_body={})["choices"][0]
        alone = ask(model, logprobs=0)["choices"][0]

    assert unasked["logprobs"] is None
    assert "token_ids" not in unasked
    assert "prompt_token_ids" not in unasked
    assert alone["logprobs"]["top_logprobs"] == [{}, {}]
    assert len(alone["logprobs"]["token_logprobs"]) == 2


def test_usage_comes_last_when_it_is_asked_for():
    """In a chunk without choices."""
    with ScriptedModel("four") as model:
        whole = ask(model)
        chunks = ask(model, stream=True, stream_options={"include_usage": True})

    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


def test_what_is_no_prompt_is_refused():
    """With OpenAI's error."""
    with ScriptedModel() as model:
        reply = httpx.post(f"{model.url}/completions", json={"model": "policy", "prompt": [[]]})

    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "invalid_value"


def test_a_piece_arrives_before_the_next_is_made():
    """The server waits at the gate, and the client has all that came before it."""
    gate = threading.Semaphore(1)
    answer = Answer(text="one two", pieces=("one", " two"), gate=gate.acquire)
    with (
        ScriptedModel(answer) as model,
        openai.OpenAI(base_url=model.url, api_key="none", max_retries=0) as sdk,
    ):
        chunks = iter(sdk.completions.create(model="policy", prompt="?", stream=True))
        first = next(chunks).choices[0].text
        gate.release()
        rest = [chunk.choices[0].text for chunk in chunks]

    assert (first, rest) == ("one", [" two", ""])


@pytest.mark.parametrize("fault", [Failing(after=2, code="overloaded"), Broken(after=2)], ids=type)
def test_a_fault_reaches_the_sdk(fault: Any):
    """The same faults as in a chat."""
    with ScriptedModel(fault) as model, pytest.raises((openai.APIError, httpx.HTTPError)):
        ask(model, stream=True)


@pytest.mark.anyio
async def test_the_asynchronous_client_reads_the_same():
    """It is another parser of the same stream."""
    with ScriptedModel("four and five") as model:
        async with openai.AsyncOpenAI(base_url=model.url, api_key="none", max_retries=0) as sdk:
            whole = await sdk.completions.create(model="policy", prompt="?")
            stream = await sdk.completions.create(model="policy", prompt="?", stream=True)
            pieces = [chunk.choices[0].text async for chunk in stream]

    assert "".join(pieces) == whole.choices[0].text == "four and five"


@pytest.mark.parametrize("inputs", ["one", ["one", "two"], [1, 2], [[1, 2], [3]]], ids=repr)
def test_embeddings_are_a_function_of_the_input(inputs: Any):
    """One of each, the same again, in both encodings."""
    with ScriptedModel() as model, openai.OpenAI(base_url=model.url, api_key="none", max_retries=0) as sdk:
        packed = sdk.embeddings.create(model="policy", input=inputs)
        plain = sdk.embeddings.create(model="policy", input=inputs, encoding_format="float")

    assert "encoding_format" in model.requests[0].body
    assert [one.embedding for one in packed.data] == [one.embedding for one in plain.data]
    assert len({tuple(one.embedding) for one in plain.data}) == len(plain.data)
    assert [one.index for one in plain.data] == list(range(len(plain.data)))


def test_a_vector_in_base64_is_single_precision():
    """Eight numbers of four bytes, unless another length is asked for."""
    with ScriptedModel() as model:
        asked = {"model": "policy", "input": "one", "encoding_format": "base64"}
        usual = httpx.post(f"{model.url}/embeddings", json=asked).json()
        longer = httpx.post(f"{model.url}/embeddings", json={**asked, "dimensions": 24}).json()

    assert len(usual["data"][0]["embedding"]) == len("A" * 44)
    assert len(longer["data"][0]["embedding"]) == 24 * 4 * 4 // 3


@pytest.mark.anyio
async def test_embeddings_may_be_refused():
    """The script is asked for them, too."""

    def script(asked: Asked) -> str | Refusal:
        return Refusal(status=429, code="slow_down") if asked.path.endswith("/embeddings") else asked.last

    with ScriptedModel(script) as model:
        async with openai.AsyncOpenAI(base_url=model.url, api_key="none", max_retries=0) as sdk:
            with pytest.raises(openai.RateLimitError):
                await sdk.embeddings.create(model="policy", input="one")


def test_models_are_listed():
    """The one there is."""
    with ScriptedModel() as model, openai.OpenAI(base_url=model.url, api_key="none", max_retries=0) as sdk:
        assert [one.id for one in sdk.models.list()] == ["policy"]
