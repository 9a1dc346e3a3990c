"""`@agl.tool` below the decorators of real frameworks: they see the function, and a replay gives what came of it."""

import asyncio
import json

import pytest

import agl_core as agl
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.replay._tool_tape import ToolTape
from agl_core.replay._tools import RecordedTools
from agl_core.runner import Runner
from agl_core.store import Store

# What frameworks warn of is theirs to mend: it is shown, and fails nothing.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

RAN = []
"""What was really done."""


def add(a: int, b: int = 2) -> int:
    """Add two numbers.

    Args:
        a: the first
        b: the second

    """
    RAN.append("add")
    return a + b + 10 * len(RAN)


async def fetch(what: str) -> str:
    """Fetch it.

    Args:
        what: its name

    """
    RAN.append("fetch")
    return f"{what} number {len(RAN)}"


def langchain(*functions):
    """LangChain: the schema it makes of each, and a way to call each."""
    tool = pytest.importorskip("langchain_core.tools").tool
    made = [tool(one) for one in functions]
    return [one.args for one in made], [one.ainvoke for one in made]


def openai_agents(*functions):
    """OpenAI's Agents SDK."""
    agents = pytest.importorskip("agents")
    context = pytest.importorskip("agents.tool_context").ToolContext
    made = [agents.function_tool(one) for one in functions]

    def caller(one):
        async def call(arguments):
            told = json.dumps(arguments)
            here = context(context=None, tool_name=one.name, tool_call_id="call-1", tool_arguments=told)
            return await one.on_invoke_tool(here, told)

        return call

    return [one.params_json_schema for one in made], [caller(one) for one in made]


def autogen(*functions):
    """AutoGen."""
    tools = pytest.importorskip("autogen_core.tools")
    token = pytest.importorskip("autogen_core").CancellationToken
    made = [tools.FunctionTool(one, description="") for one in functions]
    return [one.schema for one in made], [lambda asked, one=one: one.run_json(asked, token()) for one in made]


def pydantic_ai(*functions):
    """Pydantic AI, whose model of tests calls every tool there is, with arguments of its own."""
    ai = pytest.importorskip("pydantic_ai")
    model = pytest.importorskip("pydantic_ai.models.test").TestModel

    def caller(function):
        async def call(_arguments):
            return (await ai.Agent(model(), tools=[function]).run("Go on.")).output

        return call

    return [ai.Tool(one).function_schema.json_schema for one in functions], [caller(one) for one in functions]


def crewai(*functions):
    """CrewAI."""
    tool = pytest.importorskip("crewai.tools").tool
    made = [tool(one) for one in functions]

    def caller(one):
        async def call(arguments):
            # It begins a loop of its own for a tool that is awaited.
            return await asyncio.to_thread(one.run, **arguments)

        return call

    return [one.args_schema.model_json_schema() for one in made], [caller(one) for one in made]


@pytest.mark.parametrize("framework", [langchain, openai_agents, autogen, pydantic_ai, crewai])
def test_a_marked_function_is_the_frameworks_tool_and_comes_again(framework):
    """The same schema as without the mark; live it runs, and in a replay what came of it comes again."""
    marked = [agl.tool(add), agl.tool(fetch)]
    schemas, calls = framework(*marked)
    RAN.clear()

    then, tape = run(calls)
    ran = list(RAN)
    now, _ = run(calls, tape)

    assert schemas == framework(add, fetch)[0]
    assert sorted(ran) == ["add", "fetch"]
    assert now == then
    assert ran == RAN


def run(calls, tape=None):
    """Both tools called in an attempt, or in a replay of one: what came of them, and the tape of it."""
    heard = []

    @agl.rollout
    async def agent(task):
        heard.append(str(await calls[0]({"a": 1})))
        heard.append(str(await calls[1]({"what": "page"})))

    async def story(store):
        tools = None if tape is None else RecordedTools(tape)
        with Runner(replaying=tools).run_context(agent=agent, store=store) as runner:
            rollout = await runner.step({"n": 1})
        attempt = await store.get_latest_attempt(rollout.rollout_id)
        return ToolTape.of(store.log, rollout.rollout_id, attempt.attempt_id)

    with SqliteLog(":memory:", projections=CORE) as log:
        store = Store(log)
        try:
            return heard, asyncio.run(story(store))
        finally:
            store.close()
