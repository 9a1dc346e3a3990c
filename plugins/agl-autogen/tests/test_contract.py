"""The tracer keeps what every tracer promises."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager

import pytest
from agl_autogen import agl_install_tracer
from autogen_agentchat.agents import AssistantAgent, BaseChatAgent, SocietyOfMindAgent
from autogen_agentchat.teams import BaseGroupChat
from autogen_core import EVENT_LOGGER_NAME, BaseAgent, FunctionCall, SingleThreadedAgentRuntime
from autogen_core.logging import ToolCallEvent
from autogen_core.models import CreateResult, RequestUsage
from autogen_core.tools import BaseStreamTool, BaseTool, FunctionTool
from autogen_ext.models.replay import ReplayChatCompletionClient
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from agl_core.testing import TracerContract


class Spans(SpanProcessor):
    """A host's processor: what it was told, without ids and times."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def on_start(self, span, parent_context=None) -> None:
        """A span began."""
        self.words.append(f"{span.name} in {span.parent is not None}")

    def on_end(self, span) -> None:
        """A span ended."""
        self.words.append(f"end of {span.name} {span.status.status_code} {dict(span.attributes)}")


class Events(logging.Handler):
    """A host's handler of AutoGen's events."""

    def __init__(self, words: list[str]) -> None:
        super().__init__(logging.INFO)
        self.words = words

    def emit(self, record) -> None:
        """Something happened."""
        self.words.append(str(record.msg) if isinstance(record.msg, ToolCallEvent) else type(record.msg).__name__)


class Named(AssistantAgent):
    """An agent whose name need not be one of Python's: the contract's names are not."""

    def __init__(self, name, *args, **kwargs) -> None:
        self._given = name
        super().__init__("agent", *args, **kwargs)

    @property
    def name(self) -> str:
        """As it was given."""
        return self._given


def _model() -> ReplayChatCompletionClient:
    """A model that wants the tool, then answers; not over the wire, where names have to be shorter words."""
    wish = CreateResult(
        content=[FunctionCall(id="call-1", name="work", arguments="{}")],
        finish_reason="function_calls",
        usage=RequestUsage(prompt_tokens=1, completion_tokens=1),
        cached=False,
    )
    info = {
        "vision": False,
        "function_calling": True,
        "json_output": False,
        "family": "any",
        "structured_output": False,
    }
    return ReplayChatCompletionClient([wish, "done"], model_info=info)


class TestAutoGen(TracerContract):
    """Of AutoGen."""

    @pytest.fixture
    def install(self):
        """The hook."""
        return lambda recorder: agl_install_tracer(recorder=recorder)

    @pytest.fixture
    def act(self):
        """An agent with one tool."""

        async def acting(name, inside) -> None:
            async def work() -> str:
                await inside()
                return "worked"

            await Named(name, _model(), tools=[FunctionTool(work, "Work.")], reflect_on_tool_use=True).run(task="Go")

        return acting

    @pytest.fixture
    def marks(self):
        """The methods, and the finders of imports."""
        places = [
            (BaseAgent, "on_message"),
            (SingleThreadedAgentRuntime, "send_message"),
            (SingleThreadedAgentRuntime, "publish_message"),
            (BaseTool, "run_json"),
            (BaseStreamTool, "run_json_stream"),
            (FunctionTool, "run"),
            (BaseChatAgent, "run"),
            (BaseChatAgent, "run_stream"),
            (BaseChatAgent, "on_messages_stream"),
            (AssistantAgent, "on_messages_stream"),
            (SocietyOfMindAgent, "on_messages_stream"),
            (BaseGroupChat, "run_stream"),
        ]
        return lambda: [*(vars(owner)[name] for owner, name in places), *sys.meta_path]

    @pytest.fixture
    def host(self, monkeypatch):
        """A tracer provider for the whole process, and a handler of AutoGen's events."""

        @contextmanager
        def told():
            words: list[str] = []
            provider, handler, logger = TracerProvider(), Events(words), logging.getLogger(EVENT_LOGGER_NAME)
            provider.add_span_processor(Spans(words))
            level = logger.level
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
            with monkeypatch.context() as patched:
                patched.setattr(trace, "_TRACER_PROVIDER", provider)
                yield words
            logger.setLevel(level)
            logger.removeHandler(handler)

        return told
