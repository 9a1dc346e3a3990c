"""Real agents of the SDK on a scripted model: the spans of each attempt are the exact tree of what was done."""

from __future__ import annotations

import asyncio
import threading

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrailTripwireTriggered,
    MaxTurnsExceeded,
    RunConfig,
    Runner,
    UserError,
    custom_span,
    function_tool,
    input_guardrail,
    set_tracing_disabled,
    trace,
)

from agl_core.events import CallRecorded, SpanRecorded, ToolCall
from agl_core.recorder import current
from agl_core.spans import meaning
from agl_core.testing import Answer, Asked


@function_tool
def lookup(city: str) -> str:
    """The weather of a city."""
    return f"{city}: sun"


def use(name: str, arguments: str = "{}") -> Answer:
    """The model wants a tool."""
    return Answer(tool_calls=(ToolCall(id=f"call-{name}", name=name, arguments=arguments),))


def weather(asked: Asked) -> Answer:
    """Asks for the tool once, then answers."""
    if asked.messages[-1]["role"] == "tool":
        return Answer(text="Sunny.")
    return use("lookup", '{"city": "Kyiv"}')


def desk(asked: Asked) -> Answer:
    """The one who triages hands over, the other one answers."""
    handed = any(message["role"] == "tool" for message in asked.messages)
    return Answer(text="It is 42.") if handed else use("transfer_to_solver")


WEATHER = [
    (
        "task Agent workflow",
        None,
        [
            (
                "invoke_agent forecaster",
                "forecaster",
                [
                    ("turn 1", "forecaster", [("execute_tool lookup", "forecaster", [])]),
                    ("turn 2", "forecaster", []),
                ],
            )
        ],
    )
]


@pytest.fixture(params=[False, True], ids=["traced", "untraced"])
def _as_the_host_has_it(request):
    """The host's own tracing is on, or off."""
    set_tracing_disabled(request.param)
    yield
    set_tracing_disabled(False)


@pytest.mark.usefixtures("_as_the_host_has_it")
def test_an_agent_with_a_tool(world):
    """Run, agent, turns and tool; with arguments and result, and no span for a model call."""

    async def story():
        scope = await world.scope()
        async with world.model(weather) as model:
            agent = Agent(name="forecaster", model=model, tools=[lookup])
            with world.attempt(scope):
                result = await Runner.run(agent, "Kyiv?")
        assert result.final_output == "Sunny."
        return scope

    scope = asyncio.run(story())

    assert world.tree(scope) == WEATHER
    (tool,) = [span for span in world.facts(SpanRecorded, scope) if span.name == "execute_tool lookup"]
    told = meaning(tool)
    assert (told.kind, told.tool, told.agent) == ("tool", "lookup", "forecaster")
    assert (told.arguments, told.result) == ({"city": "Kyiv"}, "Kyiv: sun")
    assert [call.agent for call in world.facts(CallRecorded, scope)] == ["forecaster", "forecaster"]


@pytest.mark.usefixtures("_as_the_host_has_it")
def test_a_streamed_run_has_the_same_tree(world):
    """It runs in a task of its own."""

    async def story():
        scope = await world.scope()
        async with world.model(weather) as model:
            agent = Agent(name="forecaster", model=model, tools=[lookup])
            with world.attempt(scope):
                streamed = Runner.run_streamed(agent, "Kyiv?")
                async for _event in streamed.stream_events():
                    pass
        return scope

    scope = asyncio.run(story())

    assert world.tree(scope) == WEATHER
    assert [call.agent for call in world.facts(CallRecorded, scope)] == ["forecaster", "forecaster"]


@pytest.mark.usefixtures("_as_the_host_has_it")
def test_a_hand_off_ends_one_agent_and_begins_another(world):
    """Both are in the run; the hand-off is in the turn that made it, and says from whom to whom."""

    async def story():
        scope = await world.scope()
        async with world.model(desk) as model:
            solver = Agent(name="solver", model=model)
            triage = Agent(name="triage", model=model, handoffs=[solver])
            with world.attempt(scope):
                result = await Runner.run(triage, "6 * 7?")
        assert result.final_output == "It is 42."
        return scope

    scope = asyncio.run(story())

    handing = [("turn 1", "triage", [("handoff solver", "triage", [])])]
    solving = [("turn 2", "solver", [])]
    agents = [("invoke_agent triage", "triage", handing), ("invoke_agent solver", "solver", solving)]
    assert world.tree(scope) == [("task Agent workflow", None, agents)]
    (hand_off,) = [span for span in world.facts(SpanRecorded, scope) if span.name.startswith("handoff")]
    told = meaning(hand_off)
    assert (told.kind, told.agent, told.handed_to) == ("handoff", "triage", "solver")
    assert [call.agent for call in world.facts(CallRecorded, scope)] == ["triage", "solver"]


@pytest.mark.usefixtures("_as_the_host_has_it")
def test_an_agent_that_is_a_tool_bears_its_own_name(world):
    """It is inside the tool's span, and whoever called it has its name back afterwards."""

    def script(asked: Asked) -> Answer:
        tools = [tool["function"]["name"] for tool in asked.body.get("tools", [])]
        if not tools:
            return Answer(text="42")
        return Answer(text="done") if asked.messages[-1]["role"] == "tool" else use("solve", '{"input": "6 * 7"}')

    async def story():
        scope = await world.scope()
        async with world.model(script) as model:
            solver = Agent(name="solver", model=model).as_tool("solve", "Solves.")
            boss = Agent(name="boss", model=model, tools=[solver])
            with world.attempt(scope):
                await Runner.run(boss, "6 * 7?")
        return scope

    scope = asyncio.run(story())

    asked = [call.agent for call in world.facts(CallRecorded, scope)]
    solving = [("task Agent workflow", "boss", [("invoke_agent solver", "solver", [("turn 1", "solver", [])])])]
    turns = [("turn 1", "boss", [("execute_tool solve", "boss", solving)]), ("turn 2", "boss", [])]
    assert asked == ["boss", "solver", "boss"]
    assert world.tree(scope) == [("task Agent workflow", None, [("invoke_agent boss", "boss", turns)])]


@pytest.mark.usefixtures("_as_the_host_has_it")
def test_what_goes_wrong_is_said_where_it_does(world):
    """A tool that fails, an agent that never ends, and a task that ends with it."""

    @function_tool(failure_error_function=None)
    def failing() -> str:
        """Never works."""
        raise LookupError("no such city")

    async def story():
        scopes = [await world.scope(), await world.scope()]
        async with world.model(lambda asked: use(asked.body["tools"][0]["function"]["name"], '{"city": "x"}')) as model:
            with world.attempt(scopes[0]), pytest.raises(UserError):
                await Runner.run(Agent(name="clumsy", model=model, tools=[failing]), "Go")
            with world.attempt(scopes[1]), pytest.raises(MaxTurnsExceeded):
                await Runner.run(Agent(name="endless", model=model, tools=[lookup]), "Go", max_turns=1)
        return scopes

    clumsy, endless = asyncio.run(story())

    wrong = {span.name: span for span in world.facts(SpanRecorded, clumsy) if span.status == "error"}
    assert wrong["execute_tool failing"].status_message == "Error running tool"
    assert wrong["execute_tool failing"].attributes["openai_agents.error"]["error"] == "no such city"
    told = {span.name: span.status_message for span in world.facts(SpanRecorded, endless) if span.status == "error"}
    assert told["invoke_agent endless"] == "Max turns exceeded"


@pytest.mark.usefixtures("_as_the_host_has_it")
def test_a_guardrail_says_whether_it_was_triggered(world):
    """It is a span of the agent that it guards, beside the turn."""

    @input_guardrail(run_in_parallel=False)
    def polite(_context, _agent, words) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered="please" not in words)

    async def story():
        scopes = [await world.scope(), await world.scope()]
        async with world.model("ok") as model:
            agent = Agent(name="butler", model=model, input_guardrails=[polite])
            with world.attempt(scopes[0]):
                await Runner.run(agent, "Tea, please")
            with world.attempt(scopes[1]), pytest.raises(InputGuardrailTripwireTriggered):
                await Runner.run(agent, "Tea")
        return scopes

    scopes = asyncio.run(story())

    guards = [span for scope in scopes for span in world.facts(SpanRecorded, scope) if span.name == "guardrail polite"]
    assert [span.attributes["openai_agents.triggered"] for span in guards] == [False, True]
    assert [span.agent for span in guards] == ["butler", "butler"]
    for scope, guard in zip(scopes, guards, strict=True):
        (agent,) = [span for span in world.facts(SpanRecorded, scope) if span.name == "invoke_agent butler"]
        spans = {span.span_id: span for span in world.facts(SpanRecorded, scope)}
        assert agent.span_id in _above(spans, guard)


def _above(spans, span):
    """The ids of all that a span is in."""
    while span.parent_id is not None:
        span = spans[span.parent_id]
        yield span.span_id


def test_what_the_host_keeps_out_of_its_traces_is_kept_out_of_ours(world):
    """Tools are there, without arguments and results."""

    async def story():
        scope = await world.scope()
        async with world.model(weather) as model:
            agent = Agent(name="forecaster", model=model, tools=[lookup])
            with world.attempt(scope):
                await Runner.run(agent, "Kyiv?", run_config=RunConfig(trace_include_sensitive_data=False))
        return scope

    scope = asyncio.run(story())

    (tool,) = [span for span in world.facts(SpanRecorded, scope) if span.name == "execute_tool lookup"]
    assert tool.attributes["gen_ai.tool.name"] == "lookup"
    assert not {"gen_ai.tool.call.arguments", "gen_ai.tool.call.result"} & set(tool.attributes)


def test_spans_of_the_hosts_own_are_in_the_tree(world):
    """`custom_span`, under the current span or under the one it names; what goes wrong in it too."""

    def soup():
        with custom_span("soup"), pytest.raises(KeyError), custom_span("spoon"):
            raise KeyError("no spoon")

    async def story():
        scope = await world.scope()
        with world.attempt(scope), trace("lunch"):
            with custom_span("menu", {"courses": {1, 2}}) as menu:
                soup()
            with custom_span("bill", parent=menu):
                pass
        return scope

    scope = asyncio.run(story())

    inside = [("custom soup", None, [("custom spoon", None, [])]), ("custom bill", None, [])]
    assert world.tree(scope) == [("custom menu", None, inside)]
    spans = {span.name: span for span in world.facts(SpanRecorded, scope)}
    assert spans["custom menu"].attributes["openai_agents.data"] == {"courses": [1, 2]}
    assert (spans["custom spoon"].status, spans["custom spoon"].status_message) == ("error", "'no spoon'")
    assert meaning(spans["custom spoon"]).error == "KeyError"
    assert spans["custom soup"].status == "ok"


@pytest.mark.usefixtures("_as_the_host_has_it")
def test_a_run_that_is_called_off_leaves_what_had_begun(world):
    """Its spans end with it, and no name stays behind."""

    async def story():
        scope, waiting = await world.scope(), asyncio.Event()

        @function_tool
        async def wait() -> str:
            """Wait."""
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
                    await Runner.run(Agent(name="patient", model=model, tools=[wait]), "Go")
                await canceller
                name = current().agent
        return scope, name

    scope, name = asyncio.run(story())

    turn = ("turn 1", "patient", [("execute_tool wait", "patient", [])])
    assert world.tree(scope) == [("task Agent workflow", None, [("invoke_agent patient", "patient", [turn])])]
    assert name is None


@pytest.mark.usefixtures("_as_the_host_has_it")
def test_a_stream_that_is_left_leaves_what_had_begun(world):
    """Whoever listened goes away when the model has asked for a tool."""

    async def story():
        scope = await world.scope()
        async with world.model(weather) as model:
            with world.attempt(scope):
                streamed = Runner.run_streamed(Agent(name="forecaster", model=model, tools=[lookup]), "Kyiv?")
                async for event in streamed.stream_events():
                    if event.type == "run_item_stream_event":
                        break
                streamed.cancel()
                await asyncio.gather(streamed.run_loop_task, return_exceptions=True)
                name = current().agent
        return scope, name

    scope, name = asyncio.run(story())

    spans = world.facts(SpanRecorded, scope)
    assert {span.name for span in spans} >= {"invoke_agent forecaster"}
    assert {span.parent_id for span in spans} <= {None, *(span.span_id for span in spans)}
    assert name is None


def test_a_tool_in_a_thread_is_the_agents(world):
    """The SDK runs plain functions in threads, and they carry the context."""
    names = []

    @function_tool
    def look() -> str:
        """Look."""
        names.append((current().agent, threading.current_thread() is threading.main_thread()))
        return "seen"

    def script(asked: Asked) -> Answer:
        return Answer(text="done") if asked.messages[-1]["role"] == "tool" else use("look")

    async def story():
        async with world.model(script) as model:
            with world.attempt(await world.scope()):
                await Runner.run(Agent(name="watcher", model=model, tools=[look]), "Go")

    asyncio.run(story())

    assert names == [("watcher", False)]
