"""Two agents of LangChain in a graph of LangGraph: one writes, the other improves."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph


@tool
def times(a: int, b: int) -> int:
    """Multiply."""
    return a * b


async def answer(question: str, *, model: str = "policy", url: str | None = None, key: str | None = None) -> str:
    """What the critic made of the writer's words."""
    given: dict[str, Any] = {"base_url": url, "api_key": key} if url else {}
    speaks = ChatOpenAI(model=model, **given)
    graph = StateGraph(MessagesState)
    graph.add_node("writer", create_agent(speaks, [times], system_prompt="Answer.", name="writer"))
    graph.add_node("critic", create_agent(speaks, [], system_prompt="Say it better.", name="critic"))
    graph.add_edge(START, "writer")
    graph.add_edge("writer", "critic")
    graph.add_edge("critic", END)
    ended = await graph.compile().ainvoke({"messages": [("user", question)]})
    return str(ended["messages"][-1].text)


if __name__ == "__main__":
    print(asyncio.run(answer(json.loads(os.environ["AGL_TASK"])["question"])))
