"""LangChain's agent on each of its models that speaks a dialect of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from story import KEY, QUESTION, SUM, SYSTEM, TWICE, Story, Sum, add

from agl_core.testing import ScriptedModel

PACKAGES = (
    "langchain",
    "langchain-core",
    "langchain-openai",
    "langchain-anthropic",
    "langgraph",
    "openai",
    "anthropic",
)
ASKED: Any = {"messages": [("user", QUESTION)]}


def chat(model: ScriptedModel) -> Any:
    """The default."""
    return ChatOpenAI(model="policy", base_url=model.url, api_key=KEY, max_retries=0, temperature=0.5)


def responses(model: ScriptedModel) -> Any:
    """The newer route."""
    return ChatOpenAI(model="policy", base_url=model.url, api_key=KEY, max_retries=0, use_responses_api=True)


def messages(model: ScriptedModel) -> Any:
    """Anthropic's."""
    url = model.url.removesuffix("/v1")
    return ChatAnthropic(model="policy", base_url=url, api_key=KEY, max_retries=0, max_tokens=256)


def _agent(speaks: Callable[[ScriptedModel], Any], model: ScriptedModel) -> Any:
    return create_agent(speaks(model), tools=[tool(add)], system_prompt=SYSTEM)


def whole(speaks: Callable[[ScriptedModel], Any]) -> Callable[[ScriptedModel], object]:
    """An agent that waits for its answers."""
    return lambda model: _agent(speaks, model).invoke(ASKED)["messages"][-1].text


def streamed(speaks: Callable[[ScriptedModel], Any]) -> Callable[[ScriptedModel], object]:
    """One that reads them as they come."""
    return lambda model: "".join(
        chunk.text for chunk, _ in _agent(speaks, model).stream(ASKED, stream_mode="messages") if chunk.type != "tool"
    )


def chat_async(model: ScriptedModel) -> object:
    """From a coroutine."""

    async def story() -> object:
        return (await _agent(chat, model).ainvoke(ASKED))["messages"][-1].text

    return asyncio.run(story())


def formed(speaks: Callable[[ScriptedModel], Any]) -> Callable[[ScriptedModel], object]:
    """A model whose answer must have a form."""
    return lambda model: speaks(model).with_structured_output(Sum, method="json_schema").invoke(QUESTION)


def embeddings(model: ScriptedModel) -> object:
    """Of two texts; counting their tokens would load a vocabulary from elsewhere."""
    embedding = OpenAIEmbeddings(model="policy", base_url=model.url, api_key=KEY, check_embedding_ctx_length=False)
    return len(embedding.embed_documents([QUESTION, SYSTEM]))


STORIES = (
    Story(name="chat", tell=whole(chat)),
    Story(name="chat-streamed", tell=streamed(chat), answers=TWICE),
    Story(name="chat-async", tell=chat_async),
    Story(name="responses", tell=whole(responses)),
    Story(name="responses-streamed", tell=streamed(responses), answers=TWICE),
    Story(name="messages", tell=whole(messages)),
    Story(name="messages-streamed", tell=streamed(messages), answers=TWICE),
    Story(name="chat-formed", tell=formed(chat), answers=SUM),
    Story(name="responses-formed", tell=formed(responses), answers=SUM),
    Story(name="messages-formed", tell=formed(messages), answers=SUM),
    Story(name="embeddings", tell=embeddings, answers=("ok",), ends="2"),
)
