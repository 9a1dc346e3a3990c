"""LangChain's agent, chain and retriever, watched by Arize's instrumentation."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from story import KEY, QUESTION, SYSTEM, Story, add

from agl_core.testing import ScriptedModel


def _watched(provider: TracerProvider) -> None:
    from openinference.instrumentation.langchain import LangChainInstrumentor

    LangChainInstrumentor().instrument(tracer_provider=provider)


def agent(provider: TracerProvider, model: ScriptedModel) -> object:
    """One with a name and one tool."""
    from langchain.agents import create_agent
    from langchain_openai import ChatOpenAI

    _watched(provider)
    policy: Any = ChatOpenAI(model="policy", base_url=model.url, api_key=KEY)  # type: ignore[arg-type]  # text will do
    made = create_agent(policy, tools=[add], system_prompt=SYSTEM, name="sum_agent")
    return made.invoke({"messages": [{"role": "user", "content": QUESTION}]})


def chain(provider: TracerProvider, _model: ScriptedModel) -> object:
    """One that looks something up."""
    from langchain_core.documents import Document
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import RunnableLambda

    class Shelf(BaseRetriever):
        def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
            return [Document(page_content="40 + 2 is 42.", metadata={"page": 7})]

    _watched(provider)
    return (Shelf() | RunnableLambda(len)).invoke(QUESTION)


PACKAGES = ("langchain", "openinference-instrumentation-langchain")
STORIES = (
    Story(name="langchain-openinference-agent", packages=PACKAGES, tell=agent),
    Story(name="langchain-openinference-chain", packages=PACKAGES, tell=chain),
)
