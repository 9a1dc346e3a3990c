"""Real agents of LangChain on a scripted model: the spans of each attempt are the exact tree of what was done."""

from __future__ import annotations

import threading

import pytest
from langchain.agents import create_agent
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send

from agl_core.events import SpanRecorded
from agl_core.recorder import current
from agl_core.spans import meaning
from agl_core.testing import Answer, Asked

from ._stories import ASKED, FORECASTER, PATIENCE, agent_of, graph_of, lookup, node, once, transfer_to_solver, use, used


def invoked(graph, asked) -> None:
    """In one piece."""
    graph.invoke(asked)
    assert current().agent is None


async def ainvoked(graph, asked) -> None:
    """In one piece."""
    await graph.ainvoke(asked)


def streamed(graph, asked) -> None:
    """Piece by piece; who listens has no agent's name."""
    assert {current().agent for _ in graph.stream(asked)} == {None}


def streamed_by_token(graph, asked) -> None:
    """Sub-graphs too: LangGraph runs even a single task in a thread then."""
    assert {current().agent for _ in graph.stream(asked, stream_mode=["messages", "updates"], subgraphs=True)} == {None}


async def astreamed(graph, asked) -> None:
    """Piece by piece."""
    pieces = graph.astream(asked, stream_mode=["messages", "updates"], subgraphs=True)
    assert {current().agent async for _ in pieces} == {None}


async def events_streamed(graph, asked) -> None:
    """By callbacks of LangChain's own."""
    assert {current().agent async for _ in graph.astream_events(asked, version="v2")} == {None}


WAYS = [invoked, ainvoked, streamed, streamed_by_token, astreamed, events_streamed]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def way(request):
    """A way to run a graph."""

    async def run(graph, asked) -> None:
        running = request.param(graph, asked)
        if running is not None:
            await running

    return run


def test_an_agent_with_a_tool(world, story, way):
    """Agent, nodes and tool; with arguments and result, and no span for a model call."""

    async def tell(model) -> None:
        await way(create_agent(model, [lookup], name="forecaster"), ASKED)

    scope = story(once, tell)

    assert world.tree(scope) == [FORECASTER]
    (tool,) = [span for span in world.facts(SpanRecorded, scope) if span.name == "execute_tool lookup"]
    told = meaning(tool)
    assert (told.dialect, told.kind, told.tool, told.agent) == ("agl", "tool", "lookup", "forecaster")
    assert (told.arguments, told.result) == ({"city": "Kyiv"}, "Kyiv: sun")
    assert world.callers(scope) == ["forecaster", "forecaster"]


@pytest.mark.parametrize("is_async", [False, True], ids=["batch", "abatch"])
def test_many_runs_of_one_agent_at_once(world, story, is_async):
    """In threads or in tasks: each is a tree of its own."""

    async def tell(model) -> None:
        agent = create_agent(model, [lookup], name="forecaster")
        if is_async:
            await agent.abatch([ASKED] * 3)
        else:
            agent.batch([ASKED] * 3)

    scope = story(once, tell)

    assert world.tree(scope) == [FORECASTER] * 3
    assert world.callers(scope) == ["forecaster"] * 6


def test_two_agents_of_one_graph(world, story, way):
    """Each bears its own name, whatever the nodes are called; the graph around them is nobody."""

    async def tell(model) -> None:
        writer = create_agent(model, [lookup], name="forecaster")
        critic = create_agent(model, [], name="critic")
        await way(graph_of(("first", writer), ("second", critic), name="newsroom"), ASKED)

    scope = story(once, tell)

    second = node("second", "second", agent_of("critic", node("model", "critic")))
    assert world.tree(scope) == [("graph newsroom", None, [node("first", "first", FORECASTER), second])]
    assert world.callers(scope) == ["forecaster", "forecaster", "critic"]


def test_a_hand_off_ends_one_agent_and_begins_another(world, story, way):
    """It is in the agent that made it, and says to whom; that a graph goes on elsewhere is no error."""

    async def tell(model) -> None:
        graph = StateGraph(MessagesState)
        triage = create_agent(model, [transfer_to_solver], name="triage")
        graph.add_node("triage", triage, destinations=("solver",))
        graph.add_node("solver", create_agent(model, [], name="solver"))
        graph.add_edge(START, "triage")
        await way(graph.compile(), ASKED)

    scope = story(once, tell)

    handing = node("tools", "triage", ("handoff solver", "triage", []))
    triage = node("triage", "triage", agent_of("triage", node("model", "triage"), handing))
    solver = node("solver", "solver", agent_of("solver", node("model", "solver")))
    assert world.tree(scope) == [("graph LangGraph", None, [triage, solver])]
    spans = world.facts(SpanRecorded, scope)
    (hand_off,) = [span for span in spans if span.name.startswith("handoff")]
    told = meaning(hand_off)
    assert (told.kind, hand_off.agent, told.handed_to, told.tool) == (
        "handoff",
        "triage",
        "solver",
        "transfer_to_solver",
    )
    assert {span.status for span in spans} == {"ok"}
    assert world.callers(scope) == ["triage", "solver"]


def test_a_supervisor_that_sends_its_worker(world, story, way):
    """Plain functions: the nodes of the outermost graph are the agents, and their spans say where they went on to."""

    async def tell(model) -> None:
        def supervisor(state) -> Command:
            said = model.invoke(state["messages"])
            return Command(goto="worker" if len(state["messages"]) == 1 else END, update={"messages": [said]})

        async def aworker(state):
            return {"messages": [await model.ainvoke(state["messages"])]}

        def worker(state):
            return {"messages": [model.invoke(state["messages"])]}

        graph = StateGraph(MessagesState)
        graph.add_node("supervisor", supervisor, destinations=("worker", END))
        graph.add_node("worker", RunnableLambda(worker, aworker))
        graph.add_edge(START, "supervisor")
        graph.add_edge("worker", "supervisor")
        await way(graph.compile(), ASKED)

    scope = story("ok", tell)

    spans = [span for span in world.facts(SpanRecorded, scope) if span.attributes["langchain.type"] == "node"]
    went = [(span.attributes["langchain.name"], span.agent, span.attributes.get("langchain.goto")) for span in spans]
    assert went == [
        ("supervisor", "supervisor", ["worker"]),
        ("worker", "worker", None),
        ("supervisor", "supervisor", ["__end__"]),
    ]
    assert world.callers(scope) == ["supervisor", "worker", "supervisor"]


def test_two_branches_at_once(world, story, way):
    """Both are in the middle of their work at the same time, and stay apart."""
    names = []

    async def tell(model) -> None:
        together = threading.Barrier(2, timeout=PATIENCE)

        @tool
        def meet() -> str:
            """Wait for the other."""
            together.wait()
            names.append(current().agent)
            return "met"

        graph = StateGraph(MessagesState)
        for name in ("left", "right"):
            graph.add_node(name, create_agent(model, [meet], name=name))
            graph.add_edge(START, name)
        await way(graph.compile(), ASKED)

    scope = story(once, tell)

    def branch(name: str) -> tuple:
        steps = [node("model", name), node("tools", name, used("meet", name)), node("model", name)]
        return node(name, name, agent_of(name, *steps))

    ((root, agent, branches),) = world.tree(scope)
    assert (root, agent, sorted(branches)) == ("graph LangGraph", None, [branch("left"), branch("right")])
    assert sorted(world.callers(scope)) == ["left", "left", "right", "right"]
    assert sorted(names) == ["left", "right"]


def test_one_node_that_is_sent_many_tasks(world, story, way):
    """`Send`: each is a span of its own."""

    async def tell(model) -> None:
        def ask(state) -> dict:
            return {"messages": [model.invoke(state["messages"])]}

        graph = StateGraph(MessagesState)
        graph.add_node("ask", ask)
        graph.add_conditional_edges(START, lambda _state: [Send("ask", ASKED) for _ in range(3)], ["ask"])
        await way(graph.compile(), ASKED)

    scope = story("ok", tell)

    ((_, _, inside),) = world.tree(scope)
    assert [span for span in inside if span[0].startswith("node")] == [node("ask", "ask")] * 3
    assert world.callers(scope) == ["ask"] * 3


def test_an_agent_in_a_tool_bears_its_own_name(world, story, way):
    """One without a name is called as the tool that it runs in; whoever asked has its name back afterwards."""

    async def tell(model) -> None:
        named, unnamed = create_agent(model, [], name="solver"), create_agent(model, [])

        @tool
        def solve() -> str:
            """Solve."""
            return named.invoke(ASKED)["messages"][-1].text

        @tool
        async def search() -> str:
            """Search."""
            return (await unnamed.ainvoke(ASKED))["messages"][-1].text

        @tool("search")
        def search_now() -> str:
            """Search."""
            return unnamed.invoke(ASKED)["messages"][-1].text

        search.func = search_now.func
        await way(create_agent(model, [solve, search], name="boss"), ASKED)

    def script(asked: Asked) -> Answer:
        if "tools" not in asked.body:
            return Answer(text="42")
        results = sum(message["role"] == "tool" for message in asked.messages)
        return [use("solve"), use("search"), Answer(text="done")][results]

    scope = story(script, tell)

    solving = used("solve", "boss", agent_of("solver", node("model", "solver")))
    searching = used("search", "boss", agent_of("search", node("model", "search")))
    steps = [node("model", "boss"), node("tools", "boss", solving), node("model", "boss")]
    steps += [node("tools", "boss", searching), node("model", "boss")]
    assert world.tree(scope) == [agent_of("boss", *steps)]
    assert world.callers(scope) == ["boss", "solver", "boss", "search", "boss"]


def test_a_tool_that_fails(world, story, way):
    """The error is said where it is, and above; the agent's error is as ever."""

    @tool
    def failing() -> str:
        """Never works."""
        raise LookupError("no such city")

    async def tell(model) -> None:
        with pytest.raises(LookupError, match="no such city"):
            await way(create_agent(model, [failing], name="clumsy"), ASKED)

    scope = story(once, tell)

    failed = node("tools", "clumsy", used("failing", "clumsy"))
    assert world.tree(scope) == [agent_of("clumsy", node("model", "clumsy"), failed)]
    wrong = [span for span in world.facts(SpanRecorded, scope) if span.status == "error"]
    assert [span.name for span in wrong] == ["execute_tool failing", "node tools", "invoke_agent clumsy"]
    assert {(span.status_message, meaning(span).error) for span in wrong} == {("no such city", "LookupError")}
