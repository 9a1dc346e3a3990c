"""Pydantic AI's agent, which has spans of its own, in the formats that it can write."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from story import KEY, QUESTION, SYSTEM, Story, add

from agl_core.testing import ScriptedModel

PACKAGES = ("pydantic-ai-slim",)


def agent(**settings: Any) -> Callable[[TracerProvider, ScriptedModel], object]:
    """An agent with a name and one tool."""

    def told(provider: TracerProvider, model: ScriptedModel) -> object:
        from pydantic_ai import Agent
        from pydantic_ai.models.instrumented import InstrumentationSettings
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        Agent.instrument_all(InstrumentationSettings(tracer_provider=provider, **settings))
        policy = OpenAIChatModel("policy", provider=OpenAIProvider(base_url=model.url, api_key=KEY))
        return Agent(policy, name="adder", tools=[add], system_prompt=SYSTEM).run_sync(QUESTION).output

    return told


def _is_2() -> bool:
    try:
        return version("pydantic-ai-slim").startswith("2.")
    except PackageNotFoundError:
        return False


STORIES = (
    (Story(name="pydantic-ai-6", packages=PACKAGES, tell=agent(version=6)),)
    if _is_2()
    else (
        Story(name="pydantic-ai-1", packages=PACKAGES, tell=agent(version=1, event_mode="attributes")),
        Story(name="pydantic-ai-2", packages=PACKAGES, tell=agent(version=2)),
    )
)
