"""Graphs that wait, try again, are called off or left, and steps outside of graphs: what they did is there."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt

from agl_core.events import SpanRecorded
from agl_core.recorder import current
from agl_core.spans import meaning

from ._stories import ASKED, PATIENCE, agent_of, graph_of, lookup, node, once, used


def test_a_graph_that_waits_for_a_person(world, story):
    """That it stops is no error, and it goes on in a run of its own."""

    async def tell(model) -> None:
        def ask(state) -> dict:
            return {"messages": [("user", interrupt("May I?"))]}

        graph = StateGraph(MessagesState)
        graph.add_node("ask", ask)
        graph.add_edge(START, "ask")
        compiled = graph.compile(checkpointer=InMemorySaver())
        config = {"configurable": {"thread_id": "t-1"}}
        await compiled.ainvoke(ASKED, config)
        await compiled.ainvoke(Command(resume="yes"), config)

    scope = story("ok", tell)

    assert world.tree(scope) == [("graph LangGraph", None, [node("ask", "ask")])] * 2
    spans = world.facts(SpanRecorded, scope)
    assert {span.status for span in spans} == {"ok"}
    asking = [span.attributes.get("langchain.interrupted") for span in spans if span.name == "node ask"]
    assert asking == [True, None]


def test_chains_and_retrievers_outside_of_graphs(world, story):
    """They are a tree too, and nobody's; what was looked for and what was found is said."""

    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query, *, run_manager):
            return [Document(page_content=f"of {query}", metadata={"page": 1})]

    async def tell(model) -> None:
        chain = RunnableParallel(found=Shelf(), shout=RunnableLambda(str.upper).with_config(run_name="shout"))
        await chain.with_config(run_name="both").ainvoke("cats")
        assert (await (chain | (lambda _found: "ok") | model).ainvoke("dogs")).text == "ok"

    scope = story("ok", tell)

    both = ("chain both", None, [("retrieval Shelf", None, []), ("chain shout", None, [])])
    first, (name, _, _) = world.tree(scope)
    assert (first[0], sorted(first[2]), name) == ("chain both", sorted(both[2]), "chain RunnableSequence")
    retrievals = [span for span in world.facts(SpanRecorded, scope) if span.name == "retrieval Shelf"]
    told = meaning(retrievals[0])
    assert (told.kind, told.arguments) == ("retriever", {"query": "cats"})
    assert told.result == [{"page_content": "of cats", "metadata": {"page": 1}}]
    assert world.callers(scope) == [None]


def test_what_is_hidden_from_tracers_is_left_out(world, story):
    """What runs in it is in what it runs in."""

    async def tell(_model) -> None:
        inner = RunnableLambda(str.upper).with_config(run_name="inner")
        hidden = RunnableLambda(inner.invoke).with_config(run_name="hidden", tags=["langsmith:hidden"])
        await RunnableLambda(hidden.invoke).with_config(run_name="outer").ainvoke("x")

    scope = story("ok", tell)

    # A tag is inherited by what runs in it.
    assert world.tree(scope) == [("chain outer", None, [])]


def test_calls_that_a_node_makes_at_once_are_its_own(world, story):
    """`batch` in threads, `gather` in tasks, and clients of other libraries."""

    async def tell(model) -> None:
        async def many(state) -> dict:
            await asyncio.gather(*(model.ainvoke("hi") for _ in range(2)))
            await asyncio.to_thread(model.batch, ["a", "b"])
            await model.root_async_client.chat.completions.create(
                model="policy", messages=[{"role": "user", "content": "hi"}]
            )
            return {"messages": []}

        await graph_of(("many", many)).ainvoke(ASKED)

    scope = story("ok", tell)

    assert world.callers(scope) == ["many"] * 5


def test_tries_of_a_task_that_have_the_same_id_stay_apart(world):
    """A host may make the ids of runs from the task: then they are the same in each attempt."""

    async def run():
        scopes, together, run_id = [await world.scope(), await world.scope()], asyncio.Barrier(2), uuid4()

        async def meet(state) -> dict:
            await together.wait()
            return {"messages": [("user", current().agent)]}

        async def one(scope) -> None:
            with world.attempt(scope):
                await graph_of(("meet", meet)).ainvoke(ASKED, {"run_id": run_id})

        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(one(scope) for scope in scopes))
        return scopes

    scopes = asyncio.run(run())

    assert [world.tree(scope) for scope in scopes] == [[("graph LangGraph", None, [node("meet", "meet")])]] * 2


def test_a_run_that_is_called_off_leaves_what_had_begun(world):
    """Its spans end with it, and no name stays behind."""

    async def run():
        scope, waiting = await world.scope(), asyncio.Event()

        @tool
        async def wait() -> str:
            """Wait."""
            waiting.set()
            await asyncio.Event().wait()
            return "never"

        async def calling_off(running: asyncio.Task) -> None:
            await waiting.wait()
            running.cancel()

        async with asyncio.timeout(PATIENCE), world.model(once) as model:
            with world.attempt(scope):
                canceller = asyncio.create_task(calling_off(asyncio.current_task()))
                with pytest.raises(asyncio.CancelledError):
                    await create_agent(model, [wait], name="patient").ainvoke(ASKED)
                await canceller
                name = current().agent
        return scope, name

    scope, name = asyncio.run(run())

    steps = [node("model", "patient"), node("tools", "patient", used("wait", "patient"))]
    assert world.tree(scope) == [agent_of("patient", *steps)]
    assert name is None


def test_a_stream_that_is_left_leaves_what_had_begun(world, story):
    """Whoever listened goes away after the first step: that is no error."""

    async def tell(model) -> None:
        agent = create_agent(model, [lookup], name="forecaster")
        pieces = agent.astream(ASKED)
        await anext(pieces)
        await pieces.aclose()
        for _ in agent.stream(ASKED):
            break

    scope = story(once, tell)

    spans = world.facts(SpanRecorded, scope)
    assert [span.status for span in spans if span.name == "invoke_agent forecaster"] == ["ok", "ok"]
    assert {span.parent_id for span in spans} <= {None, *(span.span_id for span in spans)}
    assert set(world.callers(scope)) == {"forecaster"}
