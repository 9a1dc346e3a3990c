"""LangChain's agent, chain and retriever, watched from inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from story import KEY, QUESTION, SYSTEM, Story, add

from agl_core.testing import ScriptedModel


def openinference(provider: TracerProvider) -> None:
    """Arize's."""
    from openinference.instrumentation.langchain import LangChainInstrumentor

    LangChainInstrumentor().instrument(tracer_provider=provider)


def traceloop(provider: TracerProvider) -> None:
    """Traceloop's."""
    from opentelemetry.instrumentation.langchain import LangchainInstrumentor

    LangchainInstrumentor().instrument(tracer_provider=provider)


def agent(model: ScriptedModel) -> object:
    """One with a name and one tool."""
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    policy: Any = ChatOpenAI(model="policy", base_url=model.url, api_key=KEY)  # type: ignore[arg-type]  # text will do
    made = create_agent(policy, tools=[add], system_prompt=SYSTEM, name="sum_agent")
    return made.invoke({"messages": [{"role": "user", "content": QUESTION}]})


def chain(_model: ScriptedModel) -> object:
    """One that looks something up."""
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import RunnableLambda

    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            return [Document(page_content="40 + 2 is 42.", metadata={"page": 7})]

    return (Shelf() | RunnableLambda(len)).invoke(QUESTION)


def watched(
    by: Callable[[TracerProvider], None], does: Callable[[ScriptedModel], object]
) -> Callable[[TracerProvider, ScriptedModel], object]:
    """A story of what happens under an instrumentation."""

    def told(provider: TracerProvider, model: ScriptedModel) -> object:
        by(provider)
        return does(model)

    return told


STORIES = tuple(
    Story(name=f"langchain-{by.__name__}-{does.__name__}", packages=("langchain", package), tell=watched(by, does))
    for by, package in (
        (openinference, "openinference-instrumentation-langchain"),
        (traceloop, "opentelemetry-instrumentation-langchain"),
    )
    for does in (agent, chain)
)
