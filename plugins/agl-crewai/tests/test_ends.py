"""What fails, is tried again or is called off: its spans are there, and say how it ended."""

from __future__ import annotations

import asyncio

import pytest
from crewai import Crew, Flow
from crewai.flow.flow import start
from crewai.tools import tool

from agl_core.events import SpanRecorded
from agl_core.spans import meaning
from agl_core.testing import Refusal

from ._stories import (
    PATIENCE,
    WAYS,
    a_task,
    an_agent,
    callers,
    spans,
    use,
    worked,
)


def test_a_tool_that_fails_says_so(world, story):
    """The model is told, and the crew goes on."""

    @tool("times")
    def failing(a: int, b: int) -> int:
        """Multiply."""
        raise LookupError(f"nobody knows {a} * {b}")

    def act(llm):
        agent = an_agent("solver", llm, tools=[failing])
        return Crew(agents=[agent], tasks=[a_task(agent)]).kickoff_async()

    scope = story(act)

    used = spans(world, scope)["execute_tool times"]
    assert (used.status, used.status_message) == ("error", "nobody knows 6 * 7")
    assert meaning(used).error == "LookupError"
    assert meaning(used).arguments == {"a": 6, "b": 7}
    assert {span.status for span in world.facts(SpanRecorded, scope) if span is not used and span != used} == {"ok"}
    assert callers(world, scope) == ["solver", "solver"]


@pytest.mark.parametrize("way", ["kickoff", "kickoff_async", "akickoff"])
def test_what_a_crew_fails_at_is_said_at_each_height(world, story, way):
    """The model refuses: agent, task and crew say which error it was."""

    async def act(llm):
        agent = an_agent("solver", llm, max_retry_limit=0)
        with pytest.raises(Exception, match="no such model"):
            await WAYS[way](Crew(agents=[agent], tasks=[a_task(agent)]))

    refused = Refusal(status=404, code="model_not_found", message="no such model")
    scope = story(act, lambda _asked: refused)

    told = spans(world, scope)
    assert world.tree(scope) == [("crew crew", None, [worked("solver")])]
    assert {span.status for span in told.values()} == {"error"}
    assert all("no such model" in span.status_message for span in told.values())
    assert {meaning(span).error for span in told.values()} == {"ValueError"}  # what CrewAI makes of a status 404
    assert set(callers(world, scope)) == {"solver"}


def test_an_agent_that_tries_again_is_seen_each_time(world, story):
    """CrewAI begins its task anew."""
    answers = iter([Refusal(status=404, code="gone", message="gone")])

    def act(llm):
        agent = an_agent("solver", llm, max_retry_limit=1)
        return Crew(agents=[agent], tasks=[a_task(agent)]).kickoff_async()

    scope = story(act, lambda _asked: next(answers, "ok"))

    tries = [("invoke_agent solver", "solver", [])] * 2
    assert world.tree(scope) == [("crew crew", None, [("task", "solver", tries)])]
    seen = sorted(world.facts(SpanRecorded, scope), key=lambda span: span.started_at)
    assert [span.status for span in seen] == ["ok", "ok", "error", "ok"]


def test_a_crew_that_is_called_off_leaves_what_had_begun(world, story):
    """No event says so; its spans end with it, and no name stays behind."""

    async def act(llm):
        waiting, gate, loop = asyncio.Event(), asyncio.Event(), asyncio.get_running_loop()

        @tool("wait")
        def wait() -> str:
            """Wait."""
            loop.call_soon_threadsafe(waiting.set)
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(PATIENCE)
            return "waited"

        async def calling_off(running: asyncio.Task) -> None:
            await waiting.wait()
            running.cancel()

        agent = an_agent("patient", llm, tools=[wait])
        canceller = asyncio.create_task(calling_off(asyncio.current_task()))
        with pytest.raises(asyncio.CancelledError):
            await Crew(agents=[agent], tasks=[a_task(agent)]).akickoff()
        await canceller
        gate.set()

    scope = story(act, lambda asked: "ok" if asked.messages[-1]["role"] == "tool" else use("wait"))

    assert world.tree(scope) == [("crew crew", None, [worked("patient", "wait")])]
    assert {span.attributes["error.type"] for span in spans(world, scope).values()} == {"CancelledError"}


def test_what_stops_all_leaves_no_name_behind(world, story):
    """`SystemExit` is told by no event."""

    def act(llm):
        @tool("leave")
        def leave() -> str:
            """Leave."""
            raise SystemExit(3)

        agent = an_agent("leaver", llm, tools=[leave])
        with pytest.raises(SystemExit):
            Crew(agents=[agent], tasks=[a_task(agent)]).kickoff()

    async def in_a_thread(llm):
        await asyncio.to_thread(act, llm)

    scope = story(in_a_thread, lambda _asked: use("leave"))

    assert world.tree(scope) == [("crew crew", None, [worked("leaver", "leave")])]
    assert {span.attributes["error.type"] for span in spans(world, scope).values()} == {"SystemExit"}


def test_a_method_of_a_flow_that_fails_says_so(world, story):
    """So does its flow."""

    async def act(_llm):
        class Evening(Flow):
            @start()
            def ask(self) -> str:
                raise LookupError("nobody is here")

        with pytest.raises(LookupError):
            await Evening().kickoff_async()

    scope = story(act)

    told = spans(world, scope)
    assert world.tree(scope) == [("flow Evening", None, [("method ask", None, [])])]
    assert {(span.status, span.attributes["error.type"]) for span in told.values()} == {("error", "LookupError")}
