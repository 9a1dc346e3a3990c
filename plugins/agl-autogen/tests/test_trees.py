"""Real agents of AutoGen on a scripted model: the spans of each attempt are the exact tree of what was done."""

from __future__ import annotations

import asyncio

import pytest
from autogen_agentchat.agents import AssistantAgent, MessageFilterAgent, SocietyOfMindAgent
from autogen_agentchat.agents._message_filter_agent import MessageFilterConfig
from autogen_agentchat.messages import TextMessage
from autogen_agentchat.teams import (
    DiGraphBuilder,
    GraphFlow,
    MagenticOneGroupChat,
    RoundRobinGroupChat,
    SelectorGroupChat,
    Swarm,
)
from autogen_agentchat.tools import AgentTool, TeamTool
from autogen_core import CancellationToken

from agl_core.events import CallRecorded, ToolCall
from agl_core.recorder import current
from agl_core.spans import meaning
from agl_core.testing import Answer, Asked

from ._stories import FORECAST, called, forecaster, script, spans, tools_of


async def _run(agent: AssistantAgent) -> None:
    await agent.run(task="Kyiv?")


async def _run_stream(agent: AssistantAgent) -> None:
    names = {current().agent async for _message in agent.run_stream(task="Kyiv?")}
    assert names == {None}


async def _on_messages(agent: AssistantAgent) -> None:
    await agent.on_messages([TextMessage(content="Kyiv?", source="user")], CancellationToken())


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("ask", [_run, _run_stream, _on_messages])
def test_an_agent_with_a_tool(world, played, ask, is_streamed):
    """Agent and tool, with arguments and result, and no span for a model call; whoever reads keeps his name."""

    async def story(model) -> None:
        await ask(forecaster(model, model_client_stream=is_streamed))
        assert current().agent is None

    scope = played(story)

    assert world.tree(scope) == [FORECAST]
    told = meaning(spans(world, scope)["execute_tool lookup"])
    assert (told.kind, told.tool, told.agent, told.tool_call_id) == ("tool", "lookup", "forecaster", "call-lookup")
    assert (told.arguments, told.result) == ({"city": "Kyiv"}, "Kyiv: sun")
    assert meaning(spans(world, scope)["invoke_agent forecaster"]).kind == "agent"
    assert called(world, scope) == ["forecaster", "forecaster"]


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_a_team_takes_turns(world, played, is_streamed):
    """The team is the task that its agents work in."""

    async def story(model) -> None:
        critic = AssistantAgent("critic", model, model_client_stream=is_streamed)
        team = RoundRobinGroupChat([forecaster(model, model_client_stream=is_streamed), critic], max_turns=2)
        names = {current().agent async for _message in team.run_stream(task="Kyiv?")}
        assert names == {None}

    scope = played(story)

    turns = [FORECAST, ("invoke_agent critic", "critic", [])]
    assert world.tree(scope) == [("invoke_workflow RoundRobinGroupChat", None, turns)]
    team = spans(world, scope)["invoke_workflow RoundRobinGroupChat"]
    assert meaning(team).kind == "task"
    assert team.attributes["autogen.participants"] == ["forecaster", "critic"]
    assert team.attributes["autogen.stop_reason"] == "Maximum number of turns 2 reached."
    assert called(world, scope) == ["forecaster", "forecaster", "critic"]


def test_a_hand_off_in_a_swarm(world, played):
    """It is in the turn that made it, and says who goes on."""

    async def story(model) -> None:
        triage = AssistantAgent("triage", model, handoffs=["solver"])
        await Swarm([triage, AssistantAgent("solver", model)], max_turns=2).run(task="6 * 7?")

    scope = played(story)

    turns = [
        ("invoke_agent triage", "triage", [("handoff solver", "triage", [])]),
        ("invoke_agent solver", "solver", []),
    ]
    assert world.tree(scope) == [("invoke_workflow Swarm", None, turns)]
    told = meaning(spans(world, scope)["handoff solver"])
    assert (told.kind, told.agent, told.handed_to) == ("handoff", "triage", "solver")
    assert called(world, scope) == ["triage", "solver"]


@pytest.mark.filterwarnings("ignore:Multiple handoffs detected")
def test_of_several_hand_offs_the_first_one_is_one(world, played):
    """AutoGen takes no other; those are tools that ran."""
    both = Answer(
        tool_calls=(
            ToolCall(id="call-1", name="transfer_to_solver", arguments="{}"),
            ToolCall(id="call-2", name="transfer_to_writer", arguments="{}"),
        )
    )

    async def story(model) -> None:
        triage = AssistantAgent("triage", model, handoffs=["solver", "writer"])
        others = [AssistantAgent(name, model) for name in ("solver", "writer")]
        await Swarm([triage, *others], max_turns=2).run(task="6 * 7?")

    scope = played(story, lambda asked: both if tools_of(asked) else Answer(text="42"))

    inside = [("handoff solver", "triage", []), ("execute_tool transfer_to_writer", "triage", [])]
    turns = [("invoke_agent triage", "triage", inside), ("invoke_agent solver", "solver", [])]
    assert world.tree(scope) == [("invoke_workflow Swarm", None, turns)]


def test_a_selector_is_an_agent_of_its_own(world, played):
    """It asks a model who speaks next; AutoGen calls it by that name, and its calls bear it."""

    def choosing(asked: Asked) -> Answer:
        if "select" in str(asked.messages[0]["content"]):
            return Answer(text="critic")
        return script(asked)

    async def story(model) -> None:
        members = [forecaster(model), AssistantAgent("critic", model, system_message="Criticise.")]
        options = {"selector_prompt": "select from {participants}", "max_turns": 1}
        await SelectorGroupChat(members, model_client=model, **options).run(task="Kyiv?")

    scope = played(story, choosing)

    manager = "SelectorGroupChatManager"
    choice = (f"invoke_agent {manager}", manager, [])
    turns = [choice, ("invoke_agent critic", "critic", []), choice]
    assert world.tree(scope) == [("invoke_workflow SelectorGroupChat", None, turns)]
    assert called(world, scope) == [manager, "critic"]


def test_an_orchestrator_is_an_agent_of_its_own(world, played):
    """What it plans, it asks as itself."""
    ledger = (
        '{"is_request_satisfied": {"reason": "r", "answer": %s}, "is_in_loop": {"reason": "r", "answer": false}, '
        '"is_progress_being_made": {"reason": "r", "answer": true}, '
        '"next_speaker": {"reason": "r", "answer": "writer"}, '
        '"instruction_or_question": {"reason": "r", "answer": "Write."}}'
    )

    def planning(asked: Asked) -> Answer:
        if "is_request_satisfied" in str(asked.messages[-1]["content"]):
            return Answer(text=ledger % ("true" if "It is written" in str(asked.messages) else "false"))
        return Answer(text="It is written" if asked.messages[0]["content"] == "Write." else "A plan.")

    async def story(model) -> None:
        writer = AssistantAgent("writer", model, system_message="Write.")
        await MagenticOneGroupChat([writer], model_client=model).run(task="Go")

    scope = played(story, planning)

    boss = "MagenticOneOrchestrator"
    names = [name for name, _, _ in world.tree(scope)[0][2]]
    assert names == [f"invoke_agent {boss}", "invoke_agent writer", f"invoke_agent {boss}"]
    assert called(world, scope) == [boss, boss, boss, "writer", boss, boss]


def test_a_team_in_a_team(world, played):
    """It is where a member would be, and nobody's name is on it."""

    async def story(model) -> None:
        inner = RoundRobinGroupChat([forecaster(model)], max_turns=1, name="experts")
        await RoundRobinGroupChat([inner, AssistantAgent("critic", model)], max_turns=2).run(task="Kyiv?")

    scope = played(story)

    turns = [("invoke_workflow experts", None, [FORECAST]), ("invoke_agent critic", "critic", [])]
    assert world.tree(scope) == [("invoke_workflow RoundRobinGroupChat", None, turns)]
    assert called(world, scope) == ["forecaster", "forecaster", "critic"]


def test_a_society_of_mind(world, played):
    """A team inside an agent: the members ask as themselves, and the agent asks once more when they are done."""

    async def story(model) -> None:
        inner = SelectorGroupChat([forecaster(model), AssistantAgent("critic", model)], model_client=model, max_turns=1)
        mind = SocietyOfMindAgent("mind", team=inner, model_client=model)
        await RoundRobinGroupChat([mind, AssistantAgent("writer", model)], max_turns=2).run(task="Kyiv?")

    scope = played(
        story, lambda asked: Answer(text="forecaster") if "role" in asked.messages[0]["content"] else script(asked)
    )

    chosen = ("invoke_agent SelectorGroupChatManager", "SelectorGroupChatManager", [])
    inside = [("invoke_workflow SelectorGroupChat", "mind", [chosen, FORECAST, chosen])]
    turns = [("invoke_agent mind", "mind", inside), ("invoke_agent writer", "writer", [])]
    assert world.tree(scope) == [("invoke_workflow RoundRobinGroupChat", None, turns)]
    assert called(world, scope) == ["SelectorGroupChatManager", "forecaster", "forecaster", "mind", "writer"]
    assert {call.parent_call_id for call in world.facts(CallRecorded, scope)} == {None}


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_an_agent_that_is_a_tool_bears_its_own_name(world, played, is_streamed):
    """It works for the call that wanted the tool, and whoever called it has its name back afterwards."""

    async def story(model) -> None:
        solver = AgentTool(AssistantAgent("solver", model, model_client_stream=is_streamed))
        boss = AssistantAgent("boss", model, tools=[solver], reflect_on_tool_use=True, model_client_stream=is_streamed)
        async for _message in boss.run_stream(task="6 * 7?"):
            pass

    scope = played(story)

    tool = ("execute_tool solver", "boss", [("invoke_agent solver", "solver", [])])
    assert world.tree(scope) == [("invoke_agent boss", "boss", [tool])]
    assert meaning(spans(world, scope)["execute_tool solver"]).result == "solver: It is 42."
    assert called(world, scope) == ["boss", "solver", "boss"]
    wished, solved, last = world.facts(CallRecorded, scope)
    assert (wished.parent_call_id, solved.parent_call_id, last.parent_call_id) == (None, wished.call_id, None)


def test_a_team_that_is_a_tool(world, played):
    """Its members are inside the tool's span, and work for the call that wanted it."""

    async def story(model) -> None:
        team = RoundRobinGroupChat([AssistantAgent("solver", model)], max_turns=1)
        tool = TeamTool(team, "experts", "Asks experts.")
        await AssistantAgent("boss", model, tools=[tool], reflect_on_tool_use=True).run(task="6 * 7?")

    scope = played(story)

    team = ("invoke_workflow RoundRobinGroupChat", "boss", [("invoke_agent solver", "solver", [])])
    assert world.tree(scope) == [("invoke_agent boss", "boss", [("execute_tool experts", "boss", [team])])]
    assert called(world, scope) == ["boss", "solver", "boss"]
    wished, solved, _last = world.facts(CallRecorded, scope)
    assert (wished.parent_call_id, solved.parent_call_id) == (None, wished.call_id)


def test_tools_at_the_same_time(world, played):
    """Both are in the middle of it, one is an agent, and no name goes astray."""
    names = []

    async def story(model) -> None:
        together = asyncio.Barrier(2)

        async def meet(who: str) -> str:
            await together.wait()
            names.append((who, current().agent))
            return who

        async def ask() -> str:
            await together.wait()
            await AssistantAgent("solver", model).run(task="6 * 7?")
            names.append(("ask", current().agent))
            return "42"

        async with asyncio.timeout(60):
            await AssistantAgent("boss", model, tools=[meet, ask], reflect_on_tool_use=True).run(task="Go")

    def both(asked: Asked) -> Answer:
        if not tools_of(asked) or asked.messages[-1]["role"] == "tool":
            return Answer(text="done")
        return Answer(
            tool_calls=(
                ToolCall(id="call-1", name="meet", arguments='{"who": "meet"}'),
                ToolCall(id="call-2", name="ask", arguments="{}"),
            )
        )

    scope = played(story, both)

    tools = [("execute_tool meet", "boss", []), ("execute_tool ask", "boss", [("invoke_agent solver", "solver", [])])]
    assert world.tree(scope) == [("invoke_agent boss", "boss", tools)]
    assert sorted(names) == [("ask", "boss"), ("meet", "boss")]
    assert called(world, scope) == ["boss", "solver", "boss"]


def test_agents_at_the_same_time(world, played):
    """A graph runs two at once; each makes its own calls."""

    async def story(model) -> None:
        agents = [forecaster(model), AssistantAgent("left", model), AssistantAgent("right", model)]
        first, left, right = agents
        graph = DiGraphBuilder()
        graph.add_node(first).add_node(left).add_node(right).add_edge(first, left).add_edge(first, right)
        await GraphFlow(agents, graph=graph.build()).run(task="Kyiv?")

    scope = played(story)

    ((name, _, turns),) = world.tree(scope)
    assert name == "invoke_workflow GraphFlow"
    assert turns[0] == FORECAST
    assert sorted(turns[1:]) == [("invoke_agent left", "left", []), ("invoke_agent right", "right", [])]
    assert sorted(called(world, scope)) == ["forecaster", "forecaster", "left", "right"]


def test_an_agent_made_of_another_one(world, played):
    """Whoever asks the model is the one whose name is on the call."""

    async def story(model) -> None:
        inner = AssistantAgent("inner", model)
        outer = MessageFilterAgent("outer", inner, filter=MessageFilterConfig(per_source=[]))
        await RoundRobinGroupChat([outer], max_turns=1).run(task="Kyiv?")

    scope = played(story)

    turn = ("invoke_agent outer", "outer", [("invoke_agent inner", "inner", [])])
    assert world.tree(scope) == [("invoke_workflow RoundRobinGroupChat", None, [turn])]
    assert called(world, scope) == ["inner"]
