"""OpenInference: what Arize's instrumentations write, in flat names such as `llm.input_messages.0.message.role`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agl_core.events import SpanRecorded, Usage
from agl_core.spans import _langchain, gen_ai
from agl_core.spans._attributes import at, count, decoded, number, rows, text, texts
from agl_core.spans._messages import messages
from agl_core.spans.meaning import Kind, Score, SpanMeaning

__all__ = ["NAME", "read"]

NAME = "openinference"

_KINDS: Mapping[str, Kind] = {
    "AGENT": "agent",
    "CHAIN": "task",
    "EMBEDDING": "model_call",
    "EVALUATOR": "reward",
    "LLM": "model_call",
    "RERANKER": "retriever",
    "RETRIEVER": "retriever",
    "TOOL": "tool",
}
_WORKING = frozenset({"agent", "retriever", "task", "tool"})
"""Kinds of which `input.value` is what they were given; a model call's is its whole request, in its own dialect."""


def read(span: SpanRecorded) -> SpanMeaning | None:
    """Any span with an `openinference.span.kind`."""
    found = span.attributes
    told = text(found, "openinference.span.kind")
    if told is None:
        return None
    given, came = decoded(found.get("input.value")), decoded(found.get("output.value"))
    result, call = _langchain.came(came)
    kind = "handoff" if _is_handoff(span, given, came) else _KINDS.get(told.upper(), "other")
    # Of a chain they are copies of what passes through it, and not always all of it.
    chat = kind == "model_call"
    return SpanMeaning(
        kind=kind,
        name=span.name,
        dialect=NAME,
        agent=given
        if kind == "handoff"
        else text(found, "agent.name") or _langchain_agent(found) or _node(kind, found),
        handed_to=came if kind == "handoff" else None,
        tool=text(found, "tool.name") or (span.name if kind == "tool" else None),
        tool_call_id=text(found, "tool_call.id", "tool.id") or (call if kind == "tool" else None),
        arguments=given if kind in _WORKING else None,
        result=result if kind in _WORKING else None,
        model=text(found, "llm.model_name", "embedding.model_name"),
        messages=messages(rows(found, "llm.input_messages")) if chat else (),
        answers=messages(rows(found, "llm.output_messages"), role="assistant") if chat else (),
        usage=_usage(found),
        finish_reasons=texts(found.get("llm.finish_reason")),
        response_id=_response_id(came) if chat else None,
        error=gen_ai.error(span),
        conversation_id=text(found, "session.id"),
        scores=tuple(_scores(found)),
    )


def _is_handoff(span: SpanRecorded, given: Any, came: Any) -> bool:
    """It has no kind for it: that of OpenAI's agents is a tool without a name, given one agent and giving another."""
    told = isinstance(given, str) and isinstance(came, str) and span.name == f"handoff to {came}"
    return told and "tool.name" not in span.attributes


def _node(kind: Kind, found: Mapping[str, Any]) -> str | None:
    return text(found, "graph.node.name", "graph.node.id") if kind == "agent" else None


def _langchain_agent(found: Mapping[str, Any]) -> str | None:
    metadata = decoded(found.get("metadata"))
    return text(metadata, "lc_agent_name") if isinstance(metadata, Mapping) else None


def _usage(found: Mapping[str, Any]) -> Usage | None:
    asked, answered = count(found, "llm.token_count.prompt"), count(found, "llm.token_count.completion")
    if asked is None and answered is None:
        return None
    return Usage(prompt_tokens=asked or 0, completion_tokens=answered or 0)


def _response_id(came: Any) -> str | None:
    """It has no name for it: the answer itself has one, or what LangChain makes of the answer."""
    named = (came, at(came, "llm_output"))
    return next((found for one in named if isinstance(one, Mapping) and (found := text(one, "id"))), None)


def _scores(found: Mapping[str, Any]) -> Iterator[Score]:
    for row in rows(found, "evaluations"):
        told = at(row, "evaluation")
        value = number(at(told, "score"))
        if value is not None:
            yield Score(name=text(told, "name") or "primary", value=value)
