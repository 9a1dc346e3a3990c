"""Whose work it is: names inside of names, streams in turns, threads, and what a result says."""

from __future__ import annotations

import asyncio
import threading

import pytest
from autogen_agentchat.agents import AssistantAgent, BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken
from autogen_core.models import UserMessage
from autogen_core.tools import FunctionTool
from pydantic import BaseModel

from agl_core.recorder import agent as named
from agl_core.recorder import attributed, current
from agl_core.spans import meaning

from ._stories import called, lookup, spans


def test_an_attempt_inside_an_attempt_has_a_tree_of_its_own(world, played):
    """A tool that tries something out in a rollout of its own."""
    inner = asyncio.run(world.scope())

    async def story(model) -> None:
        async def attempt() -> str:
            with attributed(inner):
                await AssistantAgent("solver", model).run(task="6 * 7?")
            return "tried"

        await AssistantAgent("boss", model, tools=[attempt], reflect_on_tool_use=True).run(task="Go")

    scope = played(story)

    assert world.tree(scope) == [("invoke_agent boss", "boss", [("execute_tool attempt", "boss", [])])]
    assert world.tree(inner) == [("invoke_agent solver", "solver", [])]


class Pair(BaseChatAgent):
    """An agent with two voices, which it names itself, over several steps of its stream."""

    def __init__(self, model) -> None:
        super().__init__("pair", "A pair.")
        self._model = model

    @property
    def produced_message_types(self):
        """Of text."""
        return (TextMessage,)

    async def on_messages(self, messages, cancellation_token) -> Response:
        """Not this way."""
        raise NotImplementedError

    async def on_messages_stream(self, messages, cancellation_token):
        """A word of each voice, and one of its own."""
        for voice in ("left", "right"):
            with named(voice):
                yield TextMessage(content="I", source="pair")
                await self._model.create([UserMessage(content=voice, source="user")])
        await self._model.create([UserMessage(content="both", source="user")])
        yield Response(chat_message=TextMessage(content="done", source="pair"))

    async def on_reset(self, cancellation_token) -> None:
        """Nothing to forget."""


def test_names_that_an_agent_gives_itself_hold_over_its_steps(world, played):
    """And do not come out to who reads them."""

    async def story(model) -> None:
        names = {current().agent async for _message in Pair(model).run_stream(task="Go")}
        assert names == {None}

    scope = played(story)

    assert called(world, scope) == ["left", "right", "pair"]
    assert world.tree(scope) == [("invoke_agent pair", "pair", [])]


def test_two_streams_read_in_turns_stay_apart(world, played):
    """By one reader, a message of this and a message of that."""

    async def story(model) -> None:
        streams = [
            AssistantAgent(name, model, tools=[lookup], reflect_on_tool_use=True).run_stream(task="Kyiv?")
            for name in ("writer", "critic")
        ]
        while streams:
            for stream in list(streams):
                if await anext(stream, None) is None:
                    streams.remove(stream)
                assert current().agent is None

    scope = played(story)

    assert world.tree(scope) == [
        (f"invoke_agent {name}", name, [("execute_tool lookup", name, [])]) for name in ("writer", "critic")
    ]
    assert sorted(called(world, scope)) == ["critic", "critic", "writer", "writer"]


def test_a_plain_function_knows_whose_work_it_is(world, played):
    """AutoGen runs it in a thread without context; ours is carried there, and the user's tool is as it was."""
    names = []

    def look() -> str:
        names.append((current().agent, threading.current_thread() is threading.main_thread()))
        return "seen"

    tool = FunctionTool(look, "Look.")

    async def story(model) -> None:
        await AssistantAgent("watcher", model, tools=[tool], reflect_on_tool_use=True).run(task="Go")

    scope = played(story)

    assert names == [("watcher", False)]
    assert tool._func is look
    assert world.tree(scope) == [("invoke_agent watcher", "watcher", [("execute_tool look", "watcher", [])])]


class Weather(BaseModel):
    """What a tool may give."""

    city: str
    degrees: float


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ({"a": [1, 2.5, None]}, {"a": [1, 2.5, None]}),
        (float("inf"), "inf"),
        ([{"b": {1, 2}, "c": 3j}], [{"b": [1, 2], "c": "3j"}]),
        (Weather(city="Kyiv", degrees=21.5), {"city": "Kyiv", "degrees": 21.5}),
        (None, None),
    ],
)
def test_a_result_is_what_json_can_say(world, played, value, result):
    """Values as they are, models as AutoGen writes them, all else as text."""

    async def give():
        return value

    async def story(model) -> None:
        await AssistantAgent("giver", model, tools=[give], reflect_on_tool_use=True).run(task="Go")

    scope = played(story)

    assert meaning(spans(world, scope)["execute_tool give"]).result == result


def test_a_name_that_is_said_inside_counts(world, played):
    """`agl.agent` in a tool is the innermost name; around an agent, the agent's is."""

    async def ask() -> str:
        with named("judge"):
            await AssistantAgent("solver", clients[0]).on_messages([], CancellationToken())
            return str(current().agent)

    clients = []

    async def story(model) -> None:
        clients.append(model)
        with named("team"):
            await AssistantAgent("boss", model, tools=[ask], reflect_on_tool_use=True).run(task="Go")
            assert current().agent == "team"

    scope = played(story)

    assert meaning(spans(world, scope)["execute_tool ask"]).result == "judge"
    assert called(world, scope) == ["boss", "solver", "boss"]
