"""A host that has OpenInference's instrumentation of AutoGen: both work, whoever came first."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

import pytest
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agl_core.events import ToolCall
from agl_core.testing import Answer, Asked

pytest.importorskip("openinference.instrumentation.autogen_agentchat")


async def lookup(city: str) -> str:
    """The weather of a city."""
    return f"{city}: sun"


def script(asked: Asked) -> Answer:
    """Whoever has a tool uses it once, then answers."""
    if asked.messages[-1]["role"] == "tool" or "tools" not in asked.body:
        return Answer(text="done")
    return Answer(tool_calls=(ToolCall(id="call-1", name="lookup", arguments='{"city": "Kyiv"}'),))


@contextmanager
def host():
    """What it exported: each span and the one above it."""
    from openinference.instrumentation.autogen_agentchat import AutogenAgentChatInstrumentor

    exporter, provider, told = InMemorySpanExporter(), TracerProvider(), []
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    AutogenAgentChatInstrumentor().instrument(tracer_provider=provider)
    yield told
    AutogenAgentChatInstrumentor().uninstrument()
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans}
    told += [(span.name, names.get(span.parent and span.parent.span_id), span.status.status_code) for span in spans]


def test_it_is_told_the_same_and_so_are_we(world):
    """With the tracer inside, outside, and without."""

    async def playing(model) -> None:
        members = [
            AssistantAgent("writer", model, tools=[lookup], reflect_on_tool_use=True),
            AssistantAgent("critic", model),
        ]
        await RoundRobinGroupChat(members, max_turns=2).run(task="Go")

    async def story():
        scopes = [await world.scope(), await world.scope()]
        async with world.model(script) as model:
            with host() as without:
                await playing(model)
            with host() as sooner, world.attempt(scopes[0]):
                await playing(model)
            with world.attempt(scopes[1]), host() as later:
                await playing(model)
        return scopes, without, sooner, later

    scopes, without, sooner, later = asyncio.run(story())

    assert sooner == later == without != []
    writing = ("invoke_agent writer", "writer", [("execute_tool lookup", "writer", [])])
    turns = [writing, ("invoke_agent critic", "critic", [])]
    assert [world.tree(scope) for scope in scopes] == [[("invoke_workflow RoundRobinGroupChat", None, turns)]] * 2
