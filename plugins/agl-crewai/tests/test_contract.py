"""The tracer keeps what every tracer promises."""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager

import pytest
from agl_crewai import agl_install_tracer
from crewai import LLM, Agent, Crew, Flow, Task
from crewai.events.event_bus import CrewAIEventsBus, crewai_event_bus
from crewai.events.types.agent_events import AgentExecutionCompletedEvent, AgentExecutionStartedEvent
from crewai.events.types.crew_events import CrewKickoffCompletedEvent, CrewKickoffStartedEvent
from crewai.events.types.llm_events import LLMCallCompletedEvent, LLMCallStartedEvent
from crewai.events.types.task_events import TaskCompletedEvent, TaskStartedEvent
from crewai.events.types.tool_usage_events import ToolUsageErrorEvent, ToolUsageFinishedEvent, ToolUsageStartedEvent
from crewai.tools import tool
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agl_core.events import ToolCall
from agl_core.testing import Answer, ScriptedModel, TracerContract

PATIENCE = 60
TOLD = (
    *(AgentExecutionStartedEvent, AgentExecutionCompletedEvent, CrewKickoffStartedEvent, CrewKickoffCompletedEvent),
    *(LLMCallStartedEvent, LLMCallCompletedEvent, TaskStartedEvent, TaskCompletedEvent),
    *(ToolUsageErrorEvent, ToolUsageFinishedEvent, ToolUsageStartedEvent),
)


def _once(asked) -> Answer:
    if asked.messages[-1]["role"] == "tool":
        return Answer(text="done")
    return Answer(tool_calls=(ToolCall(id="call-1", name="work", arguments="{}"),))


class TestCrewAI(TracerContract):
    """Of CrewAI."""

    @pytest.fixture
    def install(self):
        """The hook."""
        return lambda recorder: agl_install_tracer(recorder=recorder)

    @pytest.fixture
    def act(self):
        """A crew of one agent, with one tool: CrewAI runs those in threads."""
        with ScriptedModel(_once) as model:

            async def acting(name, inside) -> None:
                loop = asyncio.get_running_loop()

                @tool("work")
                def work() -> str:
                    """Work."""
                    asyncio.run_coroutine_threadsafe(inside(), loop).result(PATIENCE)
                    return "worked"

                asked = LLM(model="policy", provider="openai", base_url=model.url, api_key="none", max_retries=0)
                agent = Agent(role=name, goal="Work.", backstory="You work.", llm=asked, tools=[work])
                task = Task(description="Go", expected_output="A word.", agent=agent)
                await Crew(agents=[agent], tasks=[task]).akickoff()

            yield acting

    @pytest.fixture
    def marks(self):
        """The bus and its handlers, what agents and crews do their work in, and the finders of imports."""

        def marking() -> list[object]:
            kept = [*crewai_event_bus._sync_handlers.values(), *crewai_event_bus._async_handlers.values()]
            handlers = sorted((one for those in kept for one in those), key=id)
            methods = [CrewAIEventsBus.emit, CrewAIEventsBus.aemit, CrewAIEventsBus._prepare_event]
            methods += [Agent.execute_task, Agent.aexecute_task, Agent.kickoff, Agent.kickoff_async, Agent.akickoff]
            methods += [Crew.kickoff, Crew.kickoff_async, Crew.akickoff, Flow.kickoff, Flow.kickoff_async]
            methods += [Task.execute_sync, Task.execute_async, Task.aexecute_sync]
            return [*methods, *handlers, *sys.meta_path]

        return marking

    @pytest.fixture
    def host(self):
        """Handlers of the bus, who make spans of OpenTelemetry with a provider of their own."""

        @contextmanager
        def told():
            words: list[str] = []
            heard, kept = [], InMemorySpanExporter()
            provider = TracerProvider(shutdown_on_exit=False)
            provider.add_span_processor(SimpleSpanProcessor(kept))
            tracer = provider.get_tracer("host")

            def hear(_source, event) -> None:
                with tracer.start_as_current_span(event.type) as span:
                    span.set_attribute("role", event.agent_role or "")
                heard.append((event.emission_sequence, event.type, event.agent_role, bool(event.parent_event_id)))

            with crewai_event_bus.scoped_handlers():
                for kind in TOLD:
                    crewai_event_bus.on(kind)(hear)
                yield words
                crewai_event_bus.flush()
            words += [f"{type_} of {role} in {is_inside}" for _, type_, role, is_inside in sorted(heard)]
            spans = kept.get_finished_spans()
            words += sorted(f"span {span.name} {span.attributes['role']} {span.parent}" for span in spans)

        return told
