"""A LangGraph graph written out: the model is a node, and its tools are another, which has threads of its own."""

from __future__ import annotations

import asyncio
from typing import Any

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from story import KEY, QUESTION, SYSTEM, TWICE, Story, add

from agl_core.testing import ScriptedModel

PACKAGES = ("langgraph", "langchain-core", "langchain-openai", "openai")
ASKED: Any = {"messages": [("system", SYSTEM), ("user", QUESTION)]}


def _graph(model: ScriptedModel) -> Any:
    chat = ChatOpenAI(model="policy", base_url=model.url, api_key=KEY, max_retries=0).bind_tools([tool(add)])
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [chat.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([tool(add)]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile()


def whole(model: ScriptedModel) -> object:
    """Its state at the end."""
    return _graph(model).invoke(ASKED)["messages"][-1].text


def streamed(model: ScriptedModel) -> object:
    """Pieces of messages, while nodes that are no coroutines run in threads."""

    async def story() -> object:
        pieces = _graph(model).astream(ASKED, stream_mode="messages")
        return "".join([chunk.text async for chunk, _ in pieces if chunk.type != "tool"])

    return asyncio.run(story())


STORIES = (Story(name="chat", tell=whole), Story(name="chat-streamed", tell=streamed, answers=TWICE))
