"""The OpenAI Agents SDK's agents, one handing over to another, watched from inside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from story import KEY, QUESTION, SYSTEM, Story, add, handing_over

from agl_core.testing import ScriptedModel


def openinference(provider: TracerProvider) -> None:
    """Arize's."""
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)


def traceloop(provider: TracerProvider) -> None:
    """Traceloop's."""
    from opentelemetry.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)


def watched(by: Callable[[TracerProvider], None]) -> Callable[[TracerProvider, ScriptedModel], None]:
    """The story under an instrumentation."""

    def told(provider: TracerProvider, model: ScriptedModel) -> None:
        import agents
        import openai

        agents.set_trace_processors([])  # or it sends what happened to OpenAI
        by(provider)

        async def live() -> None:
            async with openai.AsyncOpenAI(base_url=model.url, api_key=KEY, max_retries=0) as client:
                policy: Any = agents.OpenAIChatCompletionsModel("policy", client)
                tool = agents.function_tool(add)
                solver = agents.Agent(name="solver", instructions=SYSTEM, model=policy, tools=[tool])
                triage = agents.Agent(name="triage", instructions="You hand over.", model=policy, handoffs=[solver])
                await agents.Runner.run(triage, QUESTION)

        asyncio.run(live())

    return told


STORIES = tuple(
    Story(
        name=f"openai-agents-{by.__name__}",
        packages=("openai-agents", package),
        tell=watched(by),
        answers=handing_over("solver"),
    )
    for by, package in (
        (openinference, "openinference-instrumentation-openai-agents"),
        (traceloop, "opentelemetry-instrumentation-openai-agents"),
    )
)
