"""What fails, is called off or is left in the middle: its spans are there, and say how it ended."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import types

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.teams import (
    RoundRobinGroupChat,
)
from autogen_core import CancellationToken
from autogen_core.tools import FunctionTool

from agl_core.events import SpanRecorded
from agl_core.recorder import current
from agl_core.spans import meaning
from agl_core.testing import Answer, Asked, Refusal

from ._stories import forecaster, spans, use


def test_a_tool_that_fails_says_so(world, played):
    """The agent is told in words, as AutoGen does it, and works on."""

    async def failing() -> str:
        raise LookupError("no such city")

    async def story(model) -> None:
        result = await AssistantAgent("clumsy", model, tools=[failing], reflect_on_tool_use=True).run(task="Go")
        assert result.messages[-1].to_text() == "It is 42."

    scope = played(story)

    tool, agent = spans(world, scope)["execute_tool failing"], spans(world, scope)["invoke_agent clumsy"]
    assert (tool.status, tool.status_message, meaning(tool).error) == ("error", "no such city", "LookupError")
    assert agent.status == "ok"


def test_what_goes_wrong_in_a_team_is_said_where_it_does(world, played):
    """By the agent that failed and the team that ended with it; and is raised as ever."""

    async def story(model) -> None:
        with pytest.raises(RuntimeError, match="too long"):
            await RoundRobinGroupChat([AssistantAgent("endless", model)], max_turns=1).run(task="Go")

    scope = played(story, Refusal(status=400, code="context_length_exceeded", message="too long"))

    told = {span.name: (span.status, meaning(span).error) for span in world.facts(SpanRecorded, scope)}
    assert told == {
        "invoke_agent endless": ("error", "BadRequestError"),
        "invoke_workflow RoundRobinGroupChat": ("error", "RuntimeError"),
    }


def test_a_run_that_is_called_off_leaves_what_had_begun(world):
    """In the middle of a tool, which AutoGen lets run on until the loop ends; and no name stays behind."""

    async def story():
        scope, waiting = await world.scope(), asyncio.Event()

        async def wait() -> str:
            waiting.set()
            await asyncio.Event().wait()
            return "never"

        async def calling_off(running: asyncio.Task) -> None:
            await waiting.wait()
            running.cancel()

        async with world.model(lambda _asked: use("wait")) as model:
            with world.attempt(scope):
                canceller = asyncio.create_task(calling_off(asyncio.current_task()))
                with pytest.raises(asyncio.CancelledError):
                    await AssistantAgent("patient", model, tools=[wait]).run(task="Go")
                await canceller
                name = current().agent
        return scope, name

    scope, name = asyncio.run(story())

    assert world.tree(scope) == [("invoke_agent patient", "patient", [("execute_tool wait", "patient", [])])]
    assert {meaning(span).error for span in world.facts(SpanRecorded, scope)} == {"CancelledError"}
    assert name is None


def test_a_team_that_is_called_off_by_its_token(world, played):
    """In the middle of a model call; each span ends, and says so."""
    begun, done = [], threading.Event()

    def asked_too_long(_asked: Asked) -> Answer:
        loop, token = begun
        loop.call_soon_threadsafe(token.cancel)
        done.wait(60)
        return Answer(text="too late")

    async def story(model) -> None:
        begun.extend([asyncio.get_running_loop(), CancellationToken()])
        try:
            with pytest.raises(asyncio.CancelledError):
                await AssistantAgent("patient", model).run(task="Go", cancellation_token=begun[1])
        finally:
            done.set()

    scope = played(story, asked_too_long)

    assert world.tree(scope) == [("invoke_agent patient", "patient", [])]
    assert meaning(spans(world, scope)["invoke_agent patient"]).error == "CancelledError"


def test_a_stream_that_is_left_leaves_what_had_begun(world, played):
    """Whoever listened goes away in the middle, and closes it; or when he has the result, and does not."""
    names = []

    async def story(model) -> None:
        left = forecaster(model).run_stream(task="Kyiv?")
        await anext(left)
        await left.aclose()
        names.append(current().agent)
        async for message in AssistantAgent("brief", model).run_stream(task="Kyiv?"):
            if isinstance(message, TaskResult):
                assert "invoke_agent brief" in spans(world, current())
                break
        names.append(current().agent)

    scope = played(story)

    assert {name: span.status for name, span in spans(world, scope).items()} == {
        "invoke_agent forecaster": "ok",
        "invoke_agent brief": "ok",
    }
    assert names == [None, None]


def test_a_stream_that_is_dropped_ends_when_it_is_collected(world, played):
    """In a task of the loop's, whose context is another one."""

    async def story(model) -> None:
        stream = forecaster(model).run_stream(task="Kyiv?")
        await anext(stream)
        del stream
        for _turn_of_the_loop in range(20):
            await asyncio.sleep(0)

    scope = played(story)

    assert world.tree(scope) == [("invoke_agent forecaster", "forecaster", [])]


@types.coroutine
def never():
    """Waits for nobody, without a loop."""
    yield


def test_work_that_nobody_awaits_any_more_is_closed_anywhere(world):
    """As the garbage collector does it: in a context that it did not begin in."""
    waiting = FunctionTool(_waiting, "Wait.", name="wait")
    scope = asyncio.run(world.scope())

    with world.attempt(scope):
        work = waiting.run_json({}, CancellationToken())
        contextvars.copy_context().run(work.send, None)
        work.close()
        name = current().agent

    assert world.tree(scope) == [("execute_tool wait", None, [])]
    assert name is None


async def _waiting() -> str:
    """A tool that is never done."""
    await never()
    return "never"


def test_a_stream_that_is_closed_is_closed_at_once(world, played):
    """A team whose stream was left can run again, as it can without the tracer."""

    async def story(model) -> None:
        team = RoundRobinGroupChat([AssistantAgent("writer", model)], max_turns=1)
        stream = team.run_stream(task="Go")
        await anext(stream)
        await stream.aclose()
        assert current().agent is None
        await team.run(task="Again")

    scope = played(story)

    once = ("invoke_workflow RoundRobinGroupChat", None, [("invoke_agent writer", "writer", [])])
    assert world.tree(scope) == [once, once]
