"""Real crews on a scripted model: the spans of each attempt are the exact tree of what was done."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec

import pytest
from crewai import Agent, Crew, Flow, Process
from crewai.flow.flow import listen, start
from crewai.tools import tool

import agl_core as agl
from agl_core.events import CallRecorded, SpanRecorded, ToolCall
from agl_core.recorder import current
from agl_core.spans import meaning
from agl_core.testing import Answer, Asked

from ._stories import (
    PAIR,
    PATIENCE,
    WAYS,
    a_pair,
    a_task,
    an_agent,
    callers,
    spans,
    times,
    use,
    worked,
)


@pytest.mark.parametrize("way", WAYS)
def test_two_agents_one_with_a_tool(world, story, way):
    """Crew, tasks, agents and tool; with arguments and result, and no span for a model call."""
    scope = story(lambda llm: WAYS[way](a_pair(llm)))

    assert world.tree(scope) == PAIR
    used = meaning(spans(world, scope)["execute_tool times"])
    assert (used.kind, used.tool, used.agent) == ("tool", "times", "writer")
    assert (used.arguments, used.result) == ({"a": 6, "b": 7}, "42")
    assert callers(world, scope) == ["writer", "writer", "critic"]


def test_what_is_known_of_a_crew_is_in_its_spans(world, story):
    """Inputs, descriptions, tools and outputs; each span says what it is."""
    scope = story(lambda llm: a_pair(llm, context=None).kickoff_async(inputs={"city": "Kyiv"}))

    told = spans(world, scope)
    assert {name: meaning(span).kind for name, span in told.items()} == {
        "crew pair": "task",
        "task": "task",
        "task improve": "task",
        "invoke_agent writer": "agent",
        "invoke_agent critic": "agent",
        "execute_tool times": "tool",
    }
    assert {span.status for span in told.values()} == {"ok"}
    assert told["crew pair"].attributes["crewai.inputs"] == {"city": "Kyiv"}
    assert told["crew pair"].attributes["crewai.output"] == "Forty-two."
    assert told["task"].attributes["crewai.description"] == "6 * 7?"
    assert told["task"].attributes["crewai.output"] == "It is 42."
    assert told["invoke_agent writer"].attributes["crewai.tools"] == ["times"]
    assert told["invoke_agent writer"].attributes["gen_ai.agent.name"] == "writer"


@pytest.mark.parametrize("way", ["kickoff", "kickoff_async", "akickoff"])
def test_a_streamed_crew_has_the_same_tree(world, story, way):
    """It runs in a thread or a task of its own."""

    async def act(llm):
        crew = a_pair(llm)
        crew.stream = True
        streamed = await WAYS[way](crew)
        if way == "kickoff":
            await asyncio.to_thread(list, streamed)
        else:
            async for _chunk in streamed:
                pass

    scope = story(act)

    assert world.tree(scope) == PAIR
    assert callers(world, scope) == ["writer", "writer", "critic"]


def test_a_task_in_a_thread_is_in_its_crew(world, story):
    """CrewAI starts it, and waits for it before the next one."""
    scope = story(lambda llm: a_pair(llm, async_execution=True).kickoff_async())

    assert world.tree(scope) == PAIR
    assert callers(world, scope) == ["writer", "writer", "critic"]


@pytest.mark.parametrize("way", ["kickoff", "kickoff_async", "akickoff"])
def test_an_agent_that_is_asked_by_another_bears_its_own_name(world, story, way):
    """It is in the tool's span, its calls say which call they were made for, and the other one goes on as itself."""

    def act(llm):
        critic, writer = an_agent("critic", llm, allow_delegation=True), an_agent("writer", llm, tools=[times])
        return WAYS[way](Crew(agents=[critic, writer], tasks=[a_task(critic)]))

    scope = story(act)

    inner = ("invoke_agent writer", "writer", [("execute_tool times", "writer", [])])
    asking = ("execute_tool delegate_work_to_coworker", "critic", [inner])
    assert world.tree(scope) == [
        ("crew crew", None, [("task", "critic", [("invoke_agent critic", "critic", [asking])])])
    ]
    assert spans(world, scope)[asking[0]].attributes["crewai.coworker"] == "writer"
    calls = world.facts(CallRecorded, scope)
    assert [call.agent for call in calls] == ["critic", "writer", "writer", "critic"]
    assert [call.parent_call_id for call in calls] == [None, calls[0].call_id, calls[0].call_id, None]


def test_a_manager_of_a_hierarchy_has_a_name(world, story):
    """CrewAI makes it, and calls it so."""

    def act(llm):
        writer = an_agent("writer", llm, tools=[times])
        crew = Crew(agents=[writer], tasks=[a_task(None)], process=Process.hierarchical, manager_llm=llm)
        return crew.kickoff_async()

    scope = story(act)

    inner = ("invoke_agent writer", "writer", [("execute_tool times", "writer", [])])
    asking = ("execute_tool delegate_work_to_coworker", "Crew Manager", [inner])
    manager = ("invoke_agent Crew Manager", "Crew Manager", [asking])
    assert world.tree(scope) == [("crew crew", None, [("task", "Crew Manager", [manager])])]
    assert callers(world, scope) == ["Crew Manager", "writer", "writer", "Crew Manager"]


@pytest.mark.parametrize("way", ["kickoff", "kickoff_async", "akickoff"])
def test_an_agent_outside_a_crew(world, story, way):
    """It is the root."""

    def act(llm):
        agent = an_agent("solver", llm, tools=[times])
        return asyncio.to_thread(agent.kickoff, "6 * 7?") if way == "kickoff" else getattr(agent, way)("6 * 7?")

    scope = story(act)

    assert world.tree(scope) == [("invoke_agent solver", "solver", [("execute_tool times", "solver", [])])]
    assert spans(world, scope)["invoke_agent solver"].attributes["crewai.output"] == "It is 42."
    assert callers(world, scope) == ["solver", "solver"]


@pytest.mark.parametrize("way", ["kickoff", "kickoff_async"])
def test_what_an_agent_prepares_is_its_work(world, story, way, monkeypatch):
    """CrewAI may ask a model for what the agent remembers before an event says that it begins."""
    prepare, names = Agent._prepare_kickoff, []

    def preparing(*given):
        names.append(current().agent)
        return prepare(*given)

    monkeypatch.setattr(Agent, "_prepare_kickoff", preparing)

    def act(llm):
        agent = an_agent("solver", llm)
        return asyncio.to_thread(agent.kickoff, "6 * 7?") if way == "kickoff" else agent.kickoff_async("6 * 7?")

    story(act)

    assert names == ["solver"]


def test_a_task_outside_a_crew(world, story):
    """It is the root, too."""
    scope = story(lambda llm: asyncio.to_thread(a_task(an_agent("solver", llm)).execute_sync))

    assert world.tree(scope) == [worked("solver")]
    assert callers(world, scope) == ["solver"]


def test_agents_that_work_at_the_same_time_stay_apart(world, story):
    """Two in one attempt, both in the middle of their tools."""

    async def act(llm):
        together, loop = asyncio.Barrier(2), asyncio.get_running_loop()

        @tool("meet")
        def meet() -> str:
            """Meet."""
            asyncio.run_coroutine_threadsafe(together.wait(), loop).result(PATIENCE)
            return "met"

        agents = [an_agent(name, llm, tools=[meet]) for name in ("left", "right")]
        await asyncio.gather(*(agent.kickoff_async("Go") for agent in agents))

    scope = story(act, lambda asked: "ok" if asked.messages[-1]["role"] == "tool" else use("meet"))

    trees = [(f"invoke_agent {name}", name, [("execute_tool meet", name, [])]) for name in ("left", "right")]
    assert sorted(world.tree(scope)) == trees
    assert sorted(callers(world, scope)) == ["left", "left", "right", "right"]


def test_tools_that_are_wanted_at_once_are_beside_each_other(world, story):
    """CrewAI runs them in threads."""

    def both(asked: Asked) -> Answer:
        if asked.messages[-1]["role"] == "tool":
            return Answer(text="done")
        wanted = ('{"a": 6, "b": 7}', '{"a": 2, "b": 3}')
        calls = (ToolCall(id=f"call-{place}", name="times", arguments=given) for place, given in enumerate(wanted))
        return Answer(tool_calls=tuple(calls))

    scope = story(lambda llm: an_agent("solver", llm, tools=[times]).kickoff_async("Both."), both)

    used = [meaning(span) for span in world.facts(SpanRecorded, scope) if span.name == "execute_tool times"]
    assert world.tree(scope) == [("invoke_agent solver", "solver", [("execute_tool times", "solver", [])] * 2)]
    assert sorted((told.arguments["a"], told.result) for told in used) == [(2, "6"), (6, "42")]


@pytest.mark.skipif(find_spec("litellm") is None, reason="CrewAI asks for tools in words through LiteLLM only")
def test_tools_that_are_wanted_in_words(world, story):
    """A model that cannot call tools writes what it wants; the calls go through LiteLLM."""

    def in_words(asked: Asked) -> str:
        if "Observation: 42" in str(asked.messages):
            return "Thought: I now know the final answer\nFinal Answer: It is 42."
        return 'Thought: I multiply.\nAction: times\nAction Input: {"a": 6, "b": 7}'

    def act(llm):
        agent = an_agent("solver", llm, tools=[times])
        return asyncio.to_thread(Crew(agents=[agent], tasks=[a_task(agent)]).kickoff)

    scope = story(act, in_words, model="openai/policy", provider=None, is_litellm=True)

    used = meaning(spans(world, scope)["execute_tool times"])
    assert world.tree(scope) == [("crew crew", None, [worked("solver", "times")])]
    assert (used.arguments, used.result) == ({"a": 6, "b": 7}, "42")
    assert callers(world, scope) == ["solver", "solver"]


def test_a_flow_is_what_its_methods_are_in(world, story):
    """The flows that CrewAI is made of are not."""

    async def act(llm):
        class Evening(Flow):
            role: str = "nobody's"

            @start()
            async def ask(self) -> str:
                assert current().agent is None
                result = await an_agent("solver", llm, tools=[times]).kickoff_async("6 * 7?")
                return result.raw

            @listen(ask)
            def tell(self, answer: str) -> str:
                return answer.upper()

        assert await Evening().kickoff_async(inputs={"hour": 8}) == "IT IS 42."

    scope = story(act)

    solving = ("invoke_agent solver", "solver", [("execute_tool times", "solver", [])])
    methods = [("method ask", None, [solving]), ("method tell", None, [])]
    assert world.tree(scope) == [("flow Evening", None, methods)]
    assert spans(world, scope)["flow Evening"].attributes["crewai.result"] == "IT IS 42."


def test_a_guardrail_has_an_agent_of_its_own(world, story):
    """CrewAI makes it: what it asks is no call of the agent's that it guards."""

    def act(llm):
        agent = an_agent("solver", llm)
        task = a_task(agent, guardrail="It must be a number.")
        return Crew(agents=[agent], tasks=[task]).kickoff_async()

    def judging(asked: Asked) -> str:
        return '{"valid": true, "feedback": null}' if "It must be a number" in str(asked.messages) else "42"

    scope = story(act, judging)

    guarding = ("guardrail", "solver", [("invoke_agent Guardrail Agent", "Guardrail Agent", [])])
    task = ("task", "solver", [("invoke_agent solver", "solver", []), guarding])
    assert world.tree(scope) == [("crew crew", None, [task])]
    assert spans(world, scope)["guardrail"].attributes["crewai.success"] is True
    assert callers(world, scope) == ["solver", "Guardrail Agent"]


def test_what_is_asked_for_a_tasks_sake_bears_the_name_of_its_agent(world, story):
    """A guardrail that is a function may ask a model itself, when the agent has ended."""

    def act(llm):
        def is_a_number(output):
            return llm.call(f"Is it a number? {output.raw}") == "yes", output.raw

        agent = an_agent("solver", llm)
        return Crew(agents=[agent], tasks=[a_task(agent, guardrail=is_a_number)]).kickoff_async()

    scope = story(act, lambda asked: "yes" if "Is it a number?" in asked.last else "42")

    agent, guarding = ("invoke_agent solver", "solver", []), ("guardrail", "solver", [])
    assert world.tree(scope) == [("crew crew", None, [("task", "solver", [agent, guarding])])]
    assert callers(world, scope) == ["solver", "solver"]


def test_the_innermost_name_is_the_agents(world, story):
    """Of an agent of CrewAI inside one of AGL's."""

    async def act(llm):
        with agl.agent("team"):
            await a_pair(llm).akickoff()
            assert current().agent == "team"

    scope = story(act)

    crew, team, tasks = world.tree(scope)[0]
    assert (crew, team) == ("crew pair", "team")
    assert tasks == PAIR[0][2]
