"""The real OpenAI SDK against the real gateway, over the real log: what an agent sees, and what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

import agl_core as agl
from agl_core.events import CallRecorded, ToolCall
from agl_core.gateway import Gateway
from agl_core.recorder import Recorder
from agl_core.testing import Answer, Asked, Refusal, ScriptedModel, in_turn

pytestmark = pytest.mark.anyio

QUESTION: Any = [{"role": "user", "content": "2+2?"}]
TOOL = {"type": "function", "function": {"name": "add", "description": "a + b", "parameters": {"type": "object"}}}


@pytest.fixture
def anyio_backend() -> str:
    """The gateway speaks asyncio, and so do its tests."""
    return "asyncio"


@dataclass
class Script:
    """What the model says next; a test may change it while the model runs."""

    reply: Any = "four"

    def __call__(self, asked: Asked) -> Any:
        """The answer to any request."""
        return self.reply(asked) if callable(self.reply) else self.reply


@dataclass
class Scene:
    """An open attempt, and what it can reach."""

    store: Any
    gateway: Gateway
    script: Script
    model: ScriptedModel
    client: openai.AsyncOpenAI
    rollout_id: str
    attempt_id: str

    @property
    def calls(self) -> list[CallRecorded]:
        """Every call in the log."""
        return [record.event for record in self.store.log.read(types=["call.recorded"])]

    async def ask(self, **changes: Any) -> Any:
        """One chat completion, by the SDK."""
        return await self.client.chat.completions.create(**{"model": "policy", "messages": QUESTION, **changes})


@pytest.fixture
def script() -> Script:
    """`four`, until the test says otherwise."""
    return Script()


@pytest.fixture
def model(script: Script) -> Iterator[ScriptedModel]:
    """A scripted model on loopback."""
    with ScriptedModel(script, version=1) as model:
        yield model


@pytest.fixture
async def scene(anyio_backend: str, tmp_path: Path, script: Script, model: ScriptedModel) -> AsyncIterator[Scene]:
    """A store on disk, a gateway before the model, one attempt, and an SDK client with its key."""
    store = agl.open_store(str(tmp_path / "log.db"))
    gateway = Gateway(Recorder(store.log), store.ask)
    base = await gateway.start()
    gateway.register(model.endpoint)
    rollout = await store.start_rollout({"question": "2+2"})
    attempt_id = rollout.attempt.attempt_id
    url = f"{base}/rollout/{rollout.rollout_id}/attempt/{attempt_id}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key=store.ask.attempt_key(attempt_id), max_retries=0) as client:
        yield Scene(store, gateway, script, model, client, rollout.rollout_id, attempt_id)
    await gateway.stop()
    store.close()
    store.log.close()


async def test_an_answer_is_what_the_sdk_expects_and_its_tokens_are_in_the_log(scene: Scene):
    """The agent sees a chat completion; training sees the tokens."""
    completion = await scene.ask()

    (event,) = scene.calls
    choice = event.call.choices[0]
    assert completion.choices[0].message.content == "four"
    assert completion.choices[0].logprobs is None
    assert not hasattr(completion, "prompt_token_ids")
    assert (event.rollout_id, event.attempt_id) == (scene.rollout_id, scene.attempt_id)
    assert len(choice.token_ids) == len(choice.logprobs) == event.call.usage.completion_tokens > 0
    assert event.policy_version == 1


async def test_the_sdk_may_ask_for_log_probabilities_itself(scene: Scene):
    """Then it sees them, and still no token ids."""
    completion = await scene.ask(logprobs=True)

    assert completion.choices[0].logprobs.content
    assert not hasattr(completion, "prompt_token_ids")


async def test_a_call_the_sdk_tries_again_names_the_try_before(scene: Scene):
    """Each try was answered, and is a fact; the last one tells why those before it failed."""
    down = Refusal(status=500, code="overloaded", retry_after=0.01)
    scene.script.reply = in_turn(down, down, "four")

    await scene.client.with_options(max_retries=2).chat.completions.create(model="policy", messages=QUESTION)

    first, second, third = scene.calls
    assert [call.status for call in (first, second, third)] == ["error", "error", "ok"]
    assert [call.retry_of for call in (first, second, third)] == [None, first.call_id, second.call_id]
    assert third.tries == ("overloaded", "overloaded")


async def test_equal_calls_that_fail_beside_each_other_are_each_tried_again(scene: Scene):
    """Eight equal prompts are eight calls: no two of them have been the same one before."""
    scene.script.reply = in_turn(*[Refusal(status=500, code="overloaded", retry_after=0.01)] * 8, "four")
    client = scene.client.with_options(max_retries=8)

    await asyncio.gather(*(client.chat.completions.create(model="policy", messages=QUESTION) for _ in range(8)))

    failed = [call.call_id for call in scene.calls if call.status == "error"]
    answered = [call for call in scene.calls if call.status == "ok"]
    assert len(failed) == len(answered) == 8
    assert sorted(call.retry_of for call in scene.calls if call.retry_of) == sorted(failed)


async def test_an_equal_call_that_is_no_retry_is_one_of_its_own(scene: Scene):
    """An agent may ask the same again after an answer that it did not like."""
    scene.script.reply = in_turn(Refusal(status=400, code="too_long"), "four")

    with pytest.raises(openai.BadRequestError):
        await scene.ask()
    await scene.ask()

    assert [call.retry_of for call in scene.calls] == [None, None]


async def test_tool_calls_go_through_both_ways(scene: Scene):
    """The wish of the model, the history the SDK sends back, the tools in the log."""
    scene.script.reply = Answer(tool_calls=(ToolCall(id="c1", name="add", arguments='{"a": 2}'),))
    wish = (await scene.ask(tools=[TOOL])).choices[0].message
    scene.script.reply = "four"
    history = [{"role": "user", "content": "2+2?"}, wish, {"role": "tool", "tool_call_id": "c1", "content": "4"}]

    await scene.ask(messages=history, tools=[TOOL])

    first, second = scene.calls
    assert first.call.choices[0].message.tool_calls[0].name == "add"
    assert second.call.messages[1].tool_calls == first.call.choices[0].message.tool_calls
    assert second.call.tools[0].name == "add"


async def test_eight_calls_at_once_are_eight_facts(scene: Scene):
    """Equal in all but what they are."""
    await asyncio.gather(*(scene.ask() for _ in range(8)))

    assert len({event.call_id for event in scene.calls}) == 8


async def test_nothing_is_under_way_when_all_is_answered(scene: Scene):
    """The row that a call holds while it runs is gone with its event."""
    await scene.ask()

    assert scene.store.log.rows("select id from in_flight where kind = 'call'") == []


async def test_the_sdk_raises_its_own_errors(scene: Scene):
    """Each refusal has the status, the code and the shape its client knows."""
    with pytest.raises(openai.NotFoundError) as unknown:
        await scene.ask(model="nobody")
    with pytest.raises(openai.AuthenticationError):
        await scene.client.with_options(api_key="another").chat.completions.create(model="policy", messages=[])
    scene.script.reply = Refusal(status=400, code="context_length_exceeded")
    with pytest.raises(openai.BadRequestError) as too_long:
        await scene.ask()

    assert unknown.value.code == "model_not_found"
    assert too_long.value.code == "context_length_exceeded"
    assert [event.error for event in scene.calls] == ["context_length_exceeded"]


async def test_a_settled_attempt_is_gone(scene: Scene):
    """Whoever lost the lease, or has finished, asks in vain."""
    await scene.store.cancel_rollout(scene.rollout_id)

    with pytest.raises(openai.APIStatusError) as gone:
        await scene.ask()

    assert (gone.value.status_code, gone.value.code) == (410, "LEASE_LOST")


async def test_models_are_listed(scene: Scene):
    """By the SDK's own call."""
    listed = await scene.client.models.list()

    assert [one.id for one in listed.data] == ["policy"]
