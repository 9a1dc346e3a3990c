"""OpenAI's library, watched by each of the instrumentations there are for it."""

from __future__ import annotations

from collections.abc import Callable

from opentelemetry.sdk.trace import TracerProvider
from story import Story, chat, responses, streamed

from agl_core.testing import ScriptedModel

NEW = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
}


def openinference(provider: TracerProvider) -> None:
    """Arize's."""
    from openinference.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider)


def traceloop(provider: TracerProvider) -> None:
    """Traceloop's: until 0.52 in words of its own, later in OpenTelemetry's."""
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider)


def genai(provider: TracerProvider) -> None:
    """OpenTelemetry's."""
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider)


def v2(provider: TracerProvider) -> None:
    """OpenTelemetry's, before it had a house of its own."""
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor

    OpenAIInstrumentor().instrument(tracer_provider=provider)


def watched(
    by: Callable[[TracerProvider], None], does: Callable[[ScriptedModel], None]
) -> Callable[[TracerProvider, ScriptedModel], None]:
    """A story of what happens under an instrumentation."""

    def told(provider: TracerProvider, model: ScriptedModel) -> None:
        by(provider)
        does(model)

    return told


def _stories(
    by: Callable[[TracerProvider], None],
    package: str,
    *,
    environment: dict[str, str] | None = None,
    mark: str = "",
    chats: tuple[Callable[[ScriptedModel], None], ...] = (chat, streamed, responses),
) -> list[Story]:
    return [
        Story(
            name=f"openai-{by.__name__}{mark}-{does.__name__}",
            packages=("openai", package),
            tell=watched(by, does),
            environment=environment or {},
        )
        for does in chats
    ]


OLDER = (chat, streamed)
"""It does not see the newer route."""
STORIES = (
    *_stories(openinference, "openinference-instrumentation-openai"),
    *_stories(traceloop, "opentelemetry-instrumentation-openai"),
    *_stories(genai, "opentelemetry-instrumentation-genai-openai", environment=NEW),
    *_stories(v2, "opentelemetry-instrumentation-openai-v2", environment=NEW, mark="-new", chats=OLDER),
    *_stories(v2, "opentelemetry-instrumentation-openai-v2", mark="-old", chats=OLDER),
)
