"""The tracer keeps what every tracer promises."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar

import httpx
import pytest
from agl_langchain import agl_install_tracer
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.tools import tool
from langchain_core.tracers import context
from langchain_openai import ChatOpenAI
from langgraph.pregel import _runner
from langsmith import Client

from agl_core.events import ToolCall
from agl_core.testing import Answer, ScriptedModel, TracerContract


def _once(asked) -> Answer:
    if asked.messages[-1]["role"] == "tool":
        return Answer(text="done")
    return Answer(tool_calls=(ToolCall(id="call-1", name="work", arguments="{}"),))


class Told(BaseCallbackHandler):
    """A host's handler: what it was told, without ids and times."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def on_chain_start(self, serialized, inputs, *, parent_run_id=None, tags=None, metadata=None, **said) -> None:
        """A chain, a graph or a node."""
        shown = sorted(name for name in metadata or {} if not name.startswith("lc_versions"))
        self.words.append(f"{said.get('name')} in {bool(parent_run_id)} {sorted(tags or ())} {shown}")

    def on_chain_end(self, outputs, **said) -> None:
        """It ended."""
        self.words.append(f"end of {type(outputs).__name__}")

    def on_chat_model_start(self, serialized, messages, **said) -> None:
        """A model is asked."""
        self.words.append(f"model {[message.content for message in messages[0]]}")

    def on_llm_end(self, response, **said) -> None:
        """It answered."""
        self.words.append(f"answer {response.generations[0][0].text!r}")

    def on_tool_start(self, serialized, input_str, **said) -> None:
        """A tool."""
        self.words.append(f"tool {serialized['name']} {input_str}")

    def on_tool_end(self, output, **said) -> None:
        """It ended."""
        self.words.append(f"end of tool {output.content}")


@contextmanager
def a_handler():
    """Registered for every run, as ours is."""
    handler = Told()
    variable = ContextVar("host", default=handler)
    context.register_configure_hook(variable, inheritable=True)
    yield handler.words
    context._configure_hooks[:] = [hook for hook in context._configure_hooks if hook[0] is not variable]


@contextmanager
def openinference():
    """An instrumentation of OpenTelemetry, with a provider of its own."""
    instrumentation = pytest.importorskip("openinference.instrumentation.langchain")
    export = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    spans, provider, words = export.InMemorySpanExporter(), TracerProvider(), []
    provider.add_span_processor(SimpleSpanProcessor(spans))
    instrumentor = instrumentation.LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=provider, skip_dep_check=True)
    yield words
    instrumentor.uninstrument()
    words += [
        f"{span.name} in {span.parent is not None} {span.status.status_code}" for span in spans.get_finished_spans()
    ]


@contextmanager
def langsmith():
    """LangChain's own, which posts what it hears to its vendor."""
    words = []

    class Deaf(Client):
        def create_run(self, name, inputs, run_type, **more) -> None:
            words.append(f"{run_type} {name} in {bool(more.get('parent_run_id'))}")

        def update_run(self, run_id, **more) -> None:
            words.append(f"end {sorted(more.get('outputs') or ())} {more.get('error')}")

    client = Deaf(api_url="http://127.0.0.1:9", api_key="none", auto_batch_tracing=False)
    with context.tracing_v2_enabled(client=client):
        yield words


class TestLangChain(TracerContract):
    """Of LangChain and LangGraph."""

    @pytest.fixture
    def install(self):
        """The hook."""
        return lambda recorder: agl_install_tracer(recorder=recorder)

    @pytest.fixture
    def act(self):
        """An agent with one tool."""
        with ScriptedModel(_once) as model:

            async def acting(name, inside) -> None:
                @tool
                async def work() -> str:
                    """Work."""
                    await inside()
                    return "worked"

                with httpx.Client() as client:
                    async with httpx.AsyncClient() as async_client:
                        asked = ChatOpenAI(
                            model="policy",
                            base_url=model.url,
                            api_key="none",
                            max_retries=0,
                            http_client=client,
                            http_async_client=async_client,
                        )
                        await create_agent(asked, [work], name=name).ainvoke({"messages": [("user", "Go")]})

            yield acting

    @pytest.fixture
    def marks(self):
        """LangChain's hooks, what LangGraph runs tasks with, and the finders of imports."""
        return lambda: [
            context._configure_hooks,
            *context._configure_hooks,
            _runner.run_with_retry,
            _runner.arun_with_retry,
            *sys.meta_path,
        ]

    @pytest.fixture(params=[a_handler, openinference, langsmith], ids=lambda host: host.__name__)
    def host(self, request):
        """A handler, or an instrumentation that puts in its own."""
        return request.param
