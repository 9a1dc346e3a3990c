"""Every route of the gateway, by the SDK that agents use, streamed and not, spoken by the model or translated to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import openai
import pytest

import agl_core as agl
from agl_core.events import CallRecorded, ToolCall
from agl_core.gateway import Gateway
from agl_core.recorder import Recorder
from agl_core.testing import Answer, Asked, ScriptedModel
from agl_core.wire import DIALECTS

anthropic = pytest.importorskip("anthropic")
pytestmark = pytest.mark.anyio

TEXT = "The answer is forty-two."
TOOL = {"type": "object", "properties": {"a": {"type": "integer"}}}
WISH = Answer(tool_calls=(ToolCall(id="t1", name="add", arguments='{"a": 2}'),))


@pytest.fixture
def anyio_backend() -> str:
    """The gateway speaks asyncio, and so do its tests."""
    return "asyncio"


class Scene:
    """An attempt, a model with a script, and the SDKs before it."""

    def __init__(self, store: Any, url: str, key: str, *, is_translated: bool) -> None:
        self.store, self.is_translated = store, is_translated
        self.script: Any = lambda _asked: TEXT
        self.openai = openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0)
        self.anthropic = anthropic.AsyncAnthropic(base_url=url.removesuffix("/v1"), api_key=key, max_retries=0)

    def answer(self, asked: Asked) -> Any:
        """By the script that the test has set."""
        return self.script(asked)

    @property
    def call(self) -> CallRecorded:
        """The one call in the log."""
        (record,) = self.store.log.read(types=["call.recorded"])
        assert isinstance(record.event, CallRecorded)
        return record.event


@pytest.fixture(params=[sorted(DIALECTS), ["openai.chat"]], ids=["spoken", "translated"])
async def scene(request: pytest.FixtureRequest, anyio_backend: str, tmp_path: Path) -> AsyncIterator[Scene]:
    """A model that speaks every dialect, or only chat."""
    store = agl.open_store(str(tmp_path / "log.db"))
    rollout = await store.start_rollout({"q": 1})
    attempt_id = rollout.attempt.attempt_id
    gateway = Gateway(Recorder(store.log), store.ask)
    base = await gateway.start()
    url = f"{base}/rollout/{rollout.rollout_id}/attempt/{attempt_id}/v1"
    found = Scene(store, url, store.ask.attempt_key(attempt_id), is_translated=len(request.param) == 1)
    with ScriptedModel(found.answer, version=3) as model:
        gateway.register(replace(model.endpoint, dialects=tuple(request.param)))
        yield found
        await gateway.stop()
    await found.openai.close()
    await found.anthropic.close()
    store.close()
    store.log.close()


async def chat(scene: Scene, *, stream: bool) -> str:
    """By OpenAI's chat."""
    asked: Any = {"model": "policy", "messages": [{"role": "user", "content": "6 * 7?"}]}
    if not stream:
        return str((await scene.openai.chat.completions.create(**asked)).choices[0].message.content)
    chunks = [chunk async for chunk in await scene.openai.chat.completions.create(**asked, stream=True)]
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def completions(scene: Scene, *, stream: bool) -> str:
    """By OpenAI's text completions."""
    if not stream:
        return str((await scene.openai.completions.create(model="policy", prompt="6 * 7?")).choices[0].text)
    streamed = await scene.openai.completions.create(model="policy", prompt="6 * 7?", stream=True)
    return "".join([chunk.choices[0].text async for chunk in streamed if chunk.choices])


async def responses(scene: Scene, *, stream: bool) -> str:
    """By OpenAI's responses."""
    if not stream:
        return str((await scene.openai.responses.create(model="policy", input="6 * 7?")).output_text)
    async with scene.openai.responses.stream(model="policy", input="6 * 7?") as streamed:
        deltas = [event.delta async for event in streamed if event.type == "response.output_text.delta"]
        final = await streamed.get_final_response()
    assert "".join(deltas) == final.output_text
    return str(final.output_text)


async def messages(scene: Scene, *, stream: bool) -> str:
    """By Anthropic's messages."""
    asked: Any = {"model": "policy", "max_tokens": 256, "messages": [{"role": "user", "content": "6 * 7?"}]}
    if not stream:
        return str((await scene.anthropic.messages.create(**asked)).content[0].text)
    async with scene.anthropic.messages.stream(**asked) as streamed:
        text = "".join([piece async for piece in streamed.text_stream])
        final = await streamed.get_final_message()
    assert text == final.content[0].text
    return text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("ask", [chat, completions, responses, messages])
async def test_the_sdk_reads_the_answer_and_the_log_has_the_call(scene: Scene, ask: Any, *, stream: bool):
    """The same words to the agent, and to the log: with tokens, usage and the version that spoke."""
    text = await ask(scene, stream=stream)

    event = scene.call
    choice = event.call.choices[0]
    assert text == TEXT
    assert (event.status, event.error) == ("ok", None)
    assert choice.message.content == TEXT
    assert [message.content for message in event.call.messages] == ["6 * 7?"]
    assert event.call.usage.completion_tokens > 0
    assert event.policy_version == 3
    # Neither of the newer APIs has a place for token ids: a model that is trained is asked by chat.
    if scene.is_translated or ask in (chat, completions):
        assert len(choice.token_ids) == len(choice.logprobs) == event.call.usage.completion_tokens
        assert event.call.prompt_token_ids
        assert event.call.provenance == "engine"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_wish_for_a_tool_goes_through_to_anthropic(scene: Scene, *, stream: bool):
    """And its result back."""
    scene.script = lambda _asked: WISH
    tool: Any = {"name": "add", "description": "a", "input_schema": TOOL}
    asked: Any = {"model": "policy", "max_tokens": 64, "messages": [{"role": "user", "content": "?"}], "tools": [tool]}

    if stream:
        async with scene.anthropic.messages.stream(**asked) as streamed:
            said = await streamed.get_final_message()
    else:
        said = await scene.anthropic.messages.create(**asked)

    (block,) = [block for block in said.content if block.type == "tool_use"]
    assert (said.stop_reason, block.name, block.input) == ("tool_use", "add", {"a": 2})
    (wish,) = scene.call.call.choices[0].message.tool_calls
    assert (wish.name, wish.id) == ("add", block.id)
    assert scene.call.call.tools[0].name == "add"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_wish_for_a_tool_goes_through_to_responses(scene: Scene, *, stream: bool):
    """As an item of its own."""
    scene.script = lambda _asked: WISH
    tool: Any = {"type": "function", "name": "add", "parameters": TOOL, "strict": False}
    asked: Any = {"model": "policy", "input": "?", "tools": [tool]}

    if stream:
        async with scene.openai.responses.stream(**asked) as streamed:
            said = await streamed.get_final_response()
    else:
        said = await scene.openai.responses.create(**asked)

    (item,) = [item for item in said.output if item.type == "function_call"]
    assert (item.name, item.arguments) == ("add", '{"a": 2}')
    assert scene.call.call.choices[0].message.tool_calls[0].id == item.call_id


async def test_an_unknown_model_is_an_error_in_each_dialect(scene: Scene):
    """Each SDK raises its own."""
    with pytest.raises(openai.NotFoundError):
        await scene.openai.responses.create(model="nobody", input="?")
    with pytest.raises(anthropic.NotFoundError):
        await scene.anthropic.messages.create(model="nobody", max_tokens=8, messages=[{"role": "user", "content": "?"}])


async def test_a_chat_that_the_provider_would_keep_is_sent_whole_where_it_cannot(scene: Scene):
    """Anthropic's runner of tools leaves its history with the provider, and sends it all to whoever keeps none."""
    if not scene.is_translated:
        pytest.skip("the model's own server is asked")
    if not hasattr(anthropic, "beta_async_tool"):
        pytest.skip("this version has no runner of tools")

    @anthropic.beta_async_tool
    async def add(a: int) -> str:
        """Double a number."""
        return str(a + a)

    replies = iter([WISH, TEXT])
    scene.script = lambda _asked: next(replies)
    runner = scene.anthropic.beta.messages.tool_runner(
        model="policy", max_tokens=256, tools=[add], messages=[{"role": "user", "content": "2 + 2?"}]
    )

    final = await runner.until_done()

    (last,) = [record.event for record in scene.store.log.read(types=["call.recorded"])][-1:]
    assert final.content[0].text == TEXT
    assert [message.role for message in last.call.messages] == ["user", "assistant", "tool"]


async def test_tokens_are_counted_where_the_model_is(scene: Scene):
    """It is no call: nothing was said. A model that is only translated to cannot count before it is asked."""
    question: Any = {"model": "policy", "messages": [{"role": "user", "content": "6 * 7?"}]}

    if scene.is_translated:
        with pytest.raises(anthropic.NotFoundError, match="NOT_SPOKEN"):
            await scene.anthropic.messages.count_tokens(**question)
    else:
        counted = (await scene.anthropic.messages.count_tokens(**question)).input_tokens
        answered = await scene.anthropic.messages.create(**question, max_tokens=64)
        assert counted == answered.usage.input_tokens == scene.call.call.usage.prompt_tokens


async def test_a_key_that_is_not_the_attempts_is_refused(scene: Scene):
    """Also where Anthropic's clients show it."""
    stranger = scene.anthropic.with_options(api_key="sk-ant-other")

    with pytest.raises(anthropic.AuthenticationError):
        await stranger.messages.create(model="policy", max_tokens=8, messages=[{"role": "user", "content": "?"}])


async def test_embeddings_are_calls_too(anyio_backend: str, tmp_path: Path):
    """Of a model that makes them; there is nothing to translate them to."""
    store = agl.open_store(str(tmp_path / "log.db"))
    rollout = await store.start_rollout({"q": 1})
    attempt_id = rollout.attempt.attempt_id
    gateway = Gateway(Recorder(store.log), store.ask)
    base = await gateway.start()
    url = f"{base}/rollout/{rollout.rollout_id}/attempt/{attempt_id}/v1"
    with ScriptedModel("x") as model, anyio.fail_after(30):
        gateway.register(replace(model.endpoint, dialects=("openai.embeddings",)), role="tool")
        async with openai.AsyncOpenAI(base_url=url, api_key=store.ask.attempt_key(attempt_id)) as client:
            made = await client.embeddings.create(model="policy", input=["one", "two"])
        await gateway.stop()
    (record,) = store.log.read(types=["call.recorded"])
    store.close()
    store.log.close()

    assert len(made.data) == 2
    assert (record.event.call.dialect, record.event.role, record.event.status) == ("openai.embeddings", "tool", "ok")
