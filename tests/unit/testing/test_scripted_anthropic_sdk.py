"""Anthropic messages of the test double, as Anthropic's own SDK reads them."""

from __future__ import annotations

from typing import Any

import pytest

from agl_core.events import ToolCall
from agl_core.testing import Answer, Broken, Failing, Malformed, Refusal, ScriptedModel, in_turn

anthropic = pytest.importorskip("anthropic")

CALLS = (
    ToolCall(id="c1", name="add", arguments='{"a": 1, "b": 2}'),
    ToolCall(id="c2", name="now", arguments="{}"),
)
ANSWERS = {
    "text": Answer(text="four é and more"),
    "empty": Answer(),
    "refusal": Answer(refusal="I had rather not."),
    "calls": Answer(reasoning="hm", text="let me see", tool_calls=CALLS),
}
ASKED: dict[str, Any] = {"model": "policy", "max_tokens": 999, "messages": [{"role": "user", "content": "2+2?"}]}


@pytest.fixture
def anyio_backend() -> str:
    """Any event loop will do."""
    return "asyncio"


def client(model: ScriptedModel, *, max_retries: int = 0) -> Any:
    """The SDK; it adds `/v1` itself."""
    return anthropic.Anthropic(base_url=model.url.removesuffix("/v1"), api_key="none", max_retries=max_retries)


def said(message: Any) -> dict[str, Any]:
    """What a message says, whichever request it answered."""
    told = message.model_dump(exclude_unset=True)
    content = [{name: value for name, value in block.items() if value is not None} for block in told["content"]]
    return {"content": content, "stop_reason": told["stop_reason"], "usage": told["usage"]["output_tokens"]}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_its_assembly_makes_the_unstreamed_answer(answer: Answer):
    """Both modes, one message."""
    with ScriptedModel(answer) as model, client(model) as sdk:
        whole = sdk.messages.create(**ASKED)
        with sdk.messages.stream(**ASKED) as stream:
            told = stream.get_final_message()

    assert said(told) == said(whole)


@pytest.mark.anyio
async def test_the_asynchronous_client_reads_the_same():
    """It is another parser of the same stream."""
    with ScriptedModel(ANSWERS["calls"]) as model:
        url = model.url.removesuffix("/v1")
        async with anthropic.AsyncAnthropic(base_url=url, api_key="none", max_retries=0) as sdk:
            whole = await sdk.messages.create(**ASKED)
            async with sdk.messages.stream(**ASKED) as stream:
                told = await stream.get_final_message()

    assert said(told) == said(whole)


def test_every_event_has_a_type_that_it_knows():
    """A raw stream is read to its end."""
    with ScriptedModel(ANSWERS["calls"]) as model, client(model) as sdk:
        kinds = [type(event).__name__ for event in sdk.messages.create(**ASKED, stream=True)]

    assert set(kinds) == {
        "RawMessageStartEvent",
        "RawContentBlockStartEvent",
        "RawContentBlockDeltaEvent",
        "RawContentBlockStopEvent",
        "RawMessageDeltaEvent",
        "RawMessageStopEvent",
    }


def test_it_counts_tokens_and_lists_models():
    """The routes beside the messages."""
    with ScriptedModel() as model, client(model) as sdk:
        counted = sdk.messages.count_tokens(model="policy", messages=ASKED["messages"]).input_tokens
        listed = [one.id for one in sdk.models.list()]
        used = sdk.messages.create(**ASKED).usage.input_tokens

    assert counted == used
    assert listed == ["policy"]


def test_it_raises_what_the_refusal_says():
    """By the status, with the type of the error."""
    with (
        ScriptedModel(Refusal(status=429, code="slow_down")) as model,
        client(model) as sdk,
        pytest.raises(anthropic.RateLimitError) as raised,
    ):
        sdk.messages.create(**ASKED)

    assert raised.value.body["error"]["type"] == "rate_limit_error"


def test_it_raises_on_a_failing_stream():
    """The error event is an error of the API's."""
    with (
        ScriptedModel(Failing(after=2, code="overloaded_error")) as model,
        client(model) as sdk,
        pytest.raises(anthropic.APIStatusError, match="overloaded_error"),
    ):
        list(sdk.messages.create(**ASKED, stream=True))


def test_it_stumbles_over_a_malformed_event():
    """It has a name, so it is not passed over."""
    with ScriptedModel(Malformed(after=1)) as model, client(model) as sdk, pytest.raises(ValueError, match="delimiter"):
        list(sdk.messages.create(**ASKED, stream=True))


def test_it_tries_again_until_it_is_answered():
    """Each try of a call gets the next reply."""
    script = in_turn(Refusal(status=529, code="overloaded", retry_after=0.01), Broken(after=None), "four")
    with ScriptedModel(script) as model, client(model, max_retries=2) as sdk:
        assert sdk.messages.create(**ASKED).content[0].text == "four"
