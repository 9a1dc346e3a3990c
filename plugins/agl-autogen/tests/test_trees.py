"""Real agents of AutoGen on a scripted model: the spans of each attempt are the exact tree of what was done."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import types

import pytest
from autogen_agentchat.agents import AssistantAgent, BaseChatAgent, MessageFilterAgent, SocietyOfMindAgent
from autogen_agentchat.agents._message_filter_agent import MessageFilterConfig
from autogen_agentchat.base import Response, TaskResult
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
from autogen_core.models import UserMessage
from autogen_core.tools import FunctionTool
from pydantic import BaseModel

from agl_core.events import CallRecorded, SpanRecorded, ToolCall
from agl_core.recorder import agent as named
from agl_core.recorder import attributed, current
from agl_core.spans import meaning
from agl_core.testing import Answer, Asked, Refusal


async def lookup(city: str) -> str:
    """The weather of a city."""
    return f"{city}: sun"


def use(name: str, arguments: str = "{}") -> Answer:
    """The model wants a tool."""
    return Answer(tool_calls=(ToolCall(id=f"call-{name}", name=name, arguments=arguments),))


def tools_of(asked: Asked) -> list[str]:
    """What the model may use."""
    return [tool["function"]["name"] for tool in asked.body.get("tools", [])]


ARGUMENTS = {"lookup": '{"city": "Kyiv"}', "solver": '{"task": "6 * 7"}', "experts": '{"task": "6 * 7"}'}


def script(asked: Asked) -> Answer:
    """Whoever has a tool uses the first one once, then answers."""
    tools = tools_of(asked)
    if not tools or asked.messages[-1]["role"] == "tool":
        return Answer(text="It is 42.")
    return use(tools[0], ARGUMENTS.get(tools[0], "{}"))


def forecaster(model, **options) -> AssistantAgent:
    """An agent with a tool."""
    return AssistantAgent("forecaster", model, tools=[lookup], reflect_on_tool_use=True, **options)


FORECAST = ("invoke_agent forecaster", "forecaster", [("execute_tool lookup", "forecaster", [])])


@pytest.fixture
def played(world):
    """Plays a story with a model in an attempt, and gives the attempt."""

    def playing(story, script=script):
        async def all_of_it():
            scope = await world.scope()
            async with world.model(script) as model:
                with world.attempt(scope):
                    await story(model)
            return scope

        return asyncio.run(all_of_it())

    return playing


def called(world, scope) -> list[str | None]:
    """Who made the calls of an attempt, in their order."""
    return [call.agent for call in world.facts(CallRecorded, scope)]


def spans(world, scope) -> dict[str, SpanRecorded]:
    """By name, which is the story's alone."""
    return {span.name: span for span in world.facts(SpanRecorded, scope)}


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
