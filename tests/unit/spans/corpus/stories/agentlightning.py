"""Agent Lightning v0.3: what its emitters write, and what its default tracer writes of OpenAI's library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from story import Story, add, chat

from agl_core.testing import ScriptedModel


def emitted(_model: ScriptedModel) -> None:
    """One of each."""
    import agentlightning as al

    al.emit_reward(0.5)
    al.emit_reward({"right": 1.0, "short": 0.25}, primary_key="right")
    al.emit_annotation({"step": {"number": 1}})
    al.emit_message("a word")
    al.emit_object({"total": 42})
    al.emit_exception(ValueError("bad"))
    al.operation(add)(40, b=2)


def traced(tracer: Callable[[], Any], does: Callable[[ScriptedModel], None]) -> Callable[..., None]:
    """A story inside a trace of its own; it makes a provider for all, which is told to tell ours."""

    def told(provider: TracerProvider, model: ScriptedModel) -> None:
        from opentelemetry import trace

        ours = tracer()
        ours.init()
        ours.init_worker(0)
        heard: Any = trace.get_tracer_provider()
        heard.add_span_processor(provider._active_span_processor)

        async def live() -> None:
            async with ours.trace_context():
                does(model)

        asyncio.run(live())

    return told


def otel() -> Any:
    """That hears what is emitted, and no more."""
    import agentlightning as al

    return al.OtelTracer()


def agentops() -> Any:
    """The default."""
    import agentlightning as al

    return al.AgentOpsTracer()


PACKAGES = ("agentlightning", "openai")
STORIES = (
    Story(name="agentlightning-emitted", packages=PACKAGES, tell=traced(otel, emitted)),
    Story(name="agentlightning-agentops-chat", packages=PACKAGES, tell=traced(agentops, chat)),
)
