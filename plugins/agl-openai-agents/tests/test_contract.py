"""The tracer keeps what every tracer promises."""

from __future__ import annotations

import sys
from contextlib import contextmanager

import agents
import openai
import pytest
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
from agents.tracing import TracingProcessor, get_trace_provider, set_trace_processors
from agl_openai_agents import agl_install_tracer

from agl_core.events import ToolCall
from agl_core.testing import Answer, ScriptedModel, TracerContract


class Told(TracingProcessor):
    """A host's processor: what it was told, without ids and times."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def on_trace_start(self, trace) -> None:
        """A run began."""
        self.words.append(f"trace {trace.name}")

    def on_trace_end(self, trace) -> None:
        """A run ended."""
        self.words.append(f"end of trace {trace.name}")

    def on_span_start(self, span) -> None:
        """A piece of it began."""
        self.words.append(f"{type(span).__name__} {span.span_data.type} in {bool(span.parent_id)}")

    def on_span_end(self, span) -> None:
        """A piece of it ended."""
        self.words.append(f"end of {span.span_data.export()} {span.error}")

    def shutdown(self) -> None:
        """Nothing is kept."""

    def force_flush(self) -> None:
        """Nothing is kept."""


def _once(asked) -> Answer:
    if asked.messages[-1]["role"] == "tool":
        return Answer(text="done")
    return Answer(tool_calls=(ToolCall(id="call-1", name="work", arguments="{}"),))


class TestOpenAIAgents(TracerContract):
    """Of the OpenAI Agents SDK."""

    @pytest.fixture
    def install(self):
        """The hook."""
        return lambda recorder: agl_install_tracer(recorder=recorder)

    @pytest.fixture
    def act(self):
        """An agent with one tool."""
        with ScriptedModel(_once) as model:

            async def acting(name, inside) -> None:
                @function_tool(failure_error_function=None)
                async def work() -> str:
                    """Work."""
                    await inside()
                    return "worked"

                async with openai.AsyncOpenAI(base_url=model.url, api_key="none", max_retries=0) as client:
                    asked = OpenAIChatCompletionsModel(model="policy", openai_client=client)
                    await Runner.run(Agent(name=name, model=asked, tools=[work]), "Go")

            yield acting

    @pytest.fixture
    def marks(self):
        """The SDK's trace provider, and the finders of imports."""
        return lambda: [get_trace_provider(), *sys.meta_path, agents.tracing.get_trace_provider]

    @pytest.fixture
    def host(self):
        """A trace processor."""

        @contextmanager
        def told():
            processor = Told()
            set_trace_processors([processor])
            yield processor.words
            set_trace_processors([])

        return told
