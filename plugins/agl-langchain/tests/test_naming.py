"""Whose work is done: agents, sub-graphs and nodes, named or not, in each other."""

from __future__ import annotations

import asyncio
from itertools import chain

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph

from agl_core.events import SpanRecorded, ToolCall
from agl_core.recorder import agent, current
from agl_core.testing import Answer

ASKED = {"messages": [("user", "Go")]}


@pytest.fixture
def names(world):
    """Whose the calls are that `tell(model)` leads to."""

    def naming(tell, script="ok"):
        async def story():
            scope = await world.scope()
            async with world.model(script) as model:
                with world.attempt(scope):
                    await tell(model)
                    assert current().agent is None
            return scope

        return world.callers(asyncio.run(story()))

    return naming


def line(*nodes, name=None):
    """A graph made by hand, one node after the other."""
    graph = StateGraph(MessagesState)
    graph.add_sequence(list(nodes))
    graph.add_edge(START, nodes[0][0])
    return graph.compile(name=name)


def asks(model):
    """A node that asks the model."""

    async def asking(state) -> dict:
        return {"messages": [await model.ainvoke(state["messages"])]}

    return asking


@pytest.mark.parametrize("name", [None, "team"])
def test_nodes_of_the_outermost_graph_are_agents(names, name):
    """Whether it has a name or not."""
    assert names(lambda model: line(("a", asks(model)), ("b", asks(model)), name=name).ainvoke(ASKED)) == ["a", "b"]


def test_a_sub_graph_is_one_agent_by_its_name(names):
    """Whatever its nodes are called."""

    def tell(model):
        inner = line(("think", asks(model)), ("write", asks(model)), name="researcher")
        return line(("first", inner), ("second", asks(model))).ainvoke(ASKED)

    assert names(tell) == ["researcher", "researcher", "second"]


def test_a_sub_graph_without_a_name_is_called_as_its_node(names):
    """Agents too; a graph that a node calls is in it as well."""

    def tell(model):
        inner, unnamed = line(("think", asks(model))), create_agent(model, [])

        async def calling(state):
            return await unnamed.ainvoke(state)

        return line(("graph", inner), ("agent", unnamed), ("calling", calling)).ainvoke(ASKED)

    assert names(tell) == ["graph", "agent", "calling"]


def test_teams_of_teams(names):
    """The innermost one that is an agent."""

    def tell(model):
        writers = line(("writer", create_agent(model, [])), ("editor", asks(model)), name="writers")
        return line(
            ("writing", writers), ("research", line(("finder", create_agent(model, [], name="finder"))))
        ).ainvoke(ASKED)

    assert names(tell) == ["writer", "writers", "finder"]


def test_an_agent_without_any_name_is_whoever_is_around_it(names):
    """Nobody, or who the caller says."""

    async def tell(model) -> None:
        unnamed = create_agent(model, [])
        await unnamed.ainvoke(ASKED)
        with agent("host"):
            await unnamed.ainvoke(ASKED)
            await create_agent(model, [], name="inner").ainvoke(ASKED)
            assert current().agent == "host"

    assert names(tell) == [None, "host", "inner"]


def test_who_says_so_inside_is_believed(names):
    """The innermost name is the caller's own."""

    def tell(model):
        async def many(state) -> dict:
            with agent("picky"):
                await model.ainvoke("hi")
            return {"messages": [await model.ainvoke("hi")]}

        return line(("many", many)).ainvoke(ASKED)

    assert names(tell) == ["picky", "many"]


@pytest.mark.filterwarnings("ignore:.* has been moved")
@pytest.mark.parametrize("name", ["old", None])
def test_agents_of_langgraphs_own_making(names, name):
    """Outermost, its name is its own; without one it is nobody."""
    # Importing it warns, in the oldest versions.
    from langgraph.prebuilt import create_react_agent

    assert names(lambda model: create_react_agent(model, [], name=name).ainvoke(ASKED)) == [name]


def test_tasks_of_a_function_are_agents(names):
    """`@entrypoint` and `@task` make a graph too."""

    def tell(model):
        @task
        async def draft(words: str) -> str:
            return (await model.ainvoke(words)).text

        @entrypoint()
        async def work(words: str) -> str:
            said = await asyncio.gather(draft(words), draft(words))
            return (await model.ainvoke(str(said))).text

        return work.ainvoke("hi")

    assert names(tell) == ["draft", "draft", "work"]


def test_a_graph_in_a_chain_is_the_outermost(names):
    """Chains are no agents."""

    def tell(model):
        return (
            RunnableLambda(lambda words: {"messages": [words]}) | line(("a", asks(model))) | (lambda _s: "x")
        ).ainvoke("x")

    assert names(tell) == ["a"]


@pytest.mark.parametrize("callbacks", [[], [BaseCallbackHandler()]], ids=["none", "own"])
def test_callbacks_that_a_node_sets_itself_cut_nothing_off(names, world, callbacks):
    """What it calls does not say what it runs in any more, and is still in it: by context."""

    def tell(model):
        inner, chain = create_agent(model, []), RunnableLambda(str.upper, name="chain")

        async def calling(state):
            await chain.ainvoke("x", {"callbacks": callbacks})
            return await inner.ainvoke(state, {"callbacks": callbacks})

        return line(("calling", calling)).ainvoke(ASKED)

    assert names(tell) == ["calling"]
    spans = {span.name: span for span in world.facts(SpanRecorded)}
    assert spans["chain chain"].parent_id == spans["node calling"].span_id
    assert spans["invoke_agent calling"].parent_id == spans["node calling"].span_id


def test_agents_that_take_turns_stay_apart(names):
    """Two in one loop, each in its tool at the same time, over and over."""
    seen = []

    async def tell(model) -> None:
        together = asyncio.Barrier(2)

        @tool
        async def meet() -> str:
            """Wait for the other."""
            await together.wait()
            seen.append(current().agent)
            return "met"

        async with asyncio.timeout(60):
            await asyncio.gather(
                *(create_agent(model, [meet], name=name).ainvoke(ASKED) for name in ("writer", "Übersetzerin"))
            )

    def script(asked) -> Answer:
        if sum(message["role"] == "tool" for message in asked.messages) == 3:
            return Answer(text="done")
        return Answer(tool_calls=(ToolCall(id="call-1", name="meet", arguments="{}"),))

    assert sorted(names(tell, script)) == ["writer"] * 4 + ["Übersetzerin"] * 4
    assert sorted(chain(seen)) == ["writer"] * 3 + ["Übersetzerin"] * 3
