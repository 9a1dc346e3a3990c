"""Tools that a server of the Model Context Protocol has: they are no tools of AutoGen's base class."""

from __future__ import annotations

import asyncio
import sys
from importlib.metadata import version

import pytest
from agl_autogen._tracing import tracing

from agl_core.events import CallRecorded, SpanRecorded, ToolCall
from agl_core.spans import meaning
from agl_core.testing import Answer, Asked

pytest.importorskip("mcp", reason="AutoGen's extra `mcp` is not installed")
if not version("mcp").startswith("1."):
    pytest.skip("AutoGen knows version 1 of mcp only", allow_module_level=True)

SERVER = """
from mcp.server.fastmcp import FastMCP

server = FastMCP("sums")

@server.tool()
def times(a: int, b: int) -> int:
    if a < 0:
        raise ValueError("no such number")
    return a * b

server.run()
"""


@pytest.fixture
def asked(world):
    """Has an agent use the server's tool with those arguments, and gives the attempt."""
    from autogen_agentchat.agents import AssistantAgent
    from autogen_ext.tools.mcp import McpWorkbench, StdioServerParams

    def asking(arguments: str):
        def script(asked: Asked) -> Answer:
            if asked.messages[-1]["role"] == "tool":
                return Answer(text="done")
            return Answer(tool_calls=(ToolCall(id="call-1", name="times", arguments=arguments),))

        async def story():
            scope = await world.scope()
            server = StdioServerParams(command=sys.executable, args=["-c", SERVER], read_timeout_seconds=60)
            async with world.model(script) as model, McpWorkbench(server) as workbench:
                with world.attempt(scope):
                    await AssistantAgent("solver", model, workbench=workbench, reflect_on_tool_use=True).run(task="Go")
            return scope

        return asyncio.run(story())

    return asking


def test_a_tool_of_a_server(world, asked):
    """It is in the agent that uses it, with arguments and result."""
    scope = asked('{"a": 6, "b": 7}')

    assert world.tree(scope) == [("invoke_agent solver", "solver", [("execute_tool times", "solver", [])])]
    (tool,) = [meaning(span) for span in world.facts(SpanRecorded, scope) if span.name == "execute_tool times"]
    assert (tool.kind, tool.tool, tool.tool_call_id) == ("tool", "times", "call-1")
    assert (tool.arguments, tool.result) == ({"a": 6, "b": 7}, "42")
    assert [call.agent for call in world.facts(CallRecorded, scope)] == ["solver", "solver"]


def test_a_tool_of_a_server_that_fails(world, asked):
    """The server says so, and AutoGen raises nothing."""
    scope = asked('{"a": -1, "b": 7}')

    (tool,) = [span for span in world.facts(SpanRecorded, scope) if span.name == "execute_tool times"]
    assert (tool.status, meaning(tool).error) == ("error", "tool_error")
    assert "no such number" in meaning(tool).result


def test_its_workbench_is_as_it_was(world):
    """After exit its method is the very object it was."""
    from autogen_ext.tools.mcp import McpWorkbench

    before = vars(McpWorkbench)["call_tool"]

    with tracing(world.recorder):
        during = vars(McpWorkbench)["call_tool"]

    assert vars(McpWorkbench)["call_tool"] is before is not during
