"""OpenTelemetry's own words for generative AI: attributes as of 1.37 and later, and the events before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agl_core.events import Message, SpanRecorded, Usage
from agl_core.spans._attributes import count, decoded, flag, listed, number, rows, text, texts
from agl_core.spans._messages import instructions, messages, spoken
from agl_core.spans.meaning import Kind, Score, SpanMeaning

__all__ = ["NAME", "error", "read", "said"]

NAME = "gen_ai"

_KINDS: Mapping[str, Kind] = {
    "chat": "model_call",
    "embeddings": "model_call",
    "execute_tool": "tool",
    "generate_content": "model_call",
    "invoke_agent": "agent",
    "invoke_workflow": "task",
    "plan": "task",
    "retrieval": "retriever",
    "text_completion": "model_call",
}
"""By `gen_ai.operation.name`; `create_agent` is none of ours: nobody works in it."""
_TOLD_BY: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (("gen_ai.tool.name", "gen_ai.tool.call.id"), "tool"),
    (("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.request.model", "gen_ai.response.id"), "model_call"),
    (("gen_ai.agent.name", "gen_ai.agent.id"), "agent"),
    (("gen_ai.workflow.name",), "task"),
)
"""Which names give a span away that does not say what it does."""
_ROLES = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}
_DETAILS = "gen_ai.client.inference.operation.details"


def read(span: SpanRecorded) -> SpanMeaning | None:
    """Any span with a `gen_ai.*` name on it, or on an event of it."""
    if not flag(span.attributes, "gen_ai.") and not any(name.startswith("gen_ai.") for name, _ in _events(span)):
        return None
    return said(span)


def said(span: SpanRecorded) -> SpanMeaning:
    """What its `gen_ai.*` names say; other dialects have some of them too."""
    found = dict(span.attributes)
    for name, attributes in _events(span):
        if name == _DETAILS:
            found = {**attributes, **found}
    operation = text(found, "gen_ai.operation.name")
    asked, answered, reasons = _old(span, found)
    output = rows(found, "gen_ai.output.messages")
    reasons = texts(found.get("gen_ai.response.finish_reasons")) or _reasons(output) or reasons
    return SpanMeaning(
        kind=_KINDS.get(operation, "other") if operation else _kind(found, span),
        name=span.name,
        dialect=NAME,
        agent=text(found, "gen_ai.agent.name", "gen_ai.agent.id"),
        tool=text(found, "gen_ai.tool.name"),
        tool_call_id=text(found, "gen_ai.tool.call.id"),
        # Without the prefix is how Pydantic AI had them before version 3 of its format.
        arguments=decoded(found.get("gen_ai.tool.call.arguments", found.get("tool_arguments"))),
        result=decoded(found.get("gen_ai.tool.call.result", found.get("tool_response"))),
        model=text(found, "gen_ai.response.model", "gen_ai.request.model"),
        messages=instructions(found.get("gen_ai.system_instructions"))
        + (messages(rows(found, "gen_ai.input.messages")) or asked),
        answers=messages(output, role="assistant") or answered,
        usage=_usage(found),
        finish_reasons=tuple("tool_calls" if reason == "tool_call" else reason for reason in reasons),
        response_id=text(found, "gen_ai.response.id"),
        error=error(span),
        conversation_id=text(found, "gen_ai.conversation.id"),
        scores=tuple(_scores(span)),
    )


def error(span: SpanRecorded) -> str | None:
    """What went wrong, in a word: `error.type`, or the type of an exception on the span."""
    raised = (text(attributes, "exception.type") for name, attributes in _events(span) if name == "exception")
    return text(span.attributes, "error.type") or next(filter(None, raised), None)


def _events(span: SpanRecorded) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for event in span.events:
        name, attributes = event.get("name"), event.get("attributes")
        if isinstance(name, str):
            yield name, attributes if isinstance(attributes, Mapping) else {}


def _kind(found: Mapping[str, Any], span: SpanRecorded) -> Kind:
    told = next((kind for names, kind in _TOLD_BY if any(name in found for name in names)), None)
    if told is None and any(name in _ROLES or name == "gen_ai.choice" for name, _ in _events(span)):
        return "model_call"
    return told or "other"


def _usage(found: Mapping[str, Any]) -> Usage | None:
    asked = count(found, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
    answered = count(found, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
    if asked is None and answered is None:
        return None
    return Usage(prompt_tokens=asked or 0, completion_tokens=answered or 0)


def _reasons(choices: list[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(reason for choice in choices if (reason := text(choice, "finish_reason")) is not None)


def _old(
    span: SpanRecorded, found: Mapping[str, Any]
) -> tuple[tuple[Message, ...], tuple[Message, ...], tuple[str, ...]]:
    """The chat as the events of 1.36 and before tell it: what was asked, what was answered, and why it ended."""
    asked: list[Message] = []
    answered: list[Message] = []
    choices: list[Mapping[str, Any]] = []
    for name, body in _bodies(span, found):
        if name in _ROLES:
            asked += spoken(body, role=_ROLES[name])
        elif name == "gen_ai.choice":
            choices.append(body)
            answered += spoken(_choice(body), role="assistant")
        elif name == "gen_ai.content.prompt":
            asked += messages(body.get("gen_ai.prompt"), role="user")
        elif name == "gen_ai.content.completion":
            answered += messages(body.get("gen_ai.completion"), role="assistant")
    return tuple(asked), tuple(answered), _reasons(choices)


def _bodies(span: SpanRecorded, found: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Events of the span, and those that Pydantic AI keeps in an attribute of it."""
    for name, attributes in _events(span):
        # Some put the body of an event, as JSON, into an attribute of it.
        body = decoded(attributes.get("gen_ai.event.content"))
        yield name, {**attributes, **body} if isinstance(body, Mapping) else attributes
    for event in listed(found.get("events")):
        yield text(event, "event.name") or "", event


def _choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    message = decoded(body.get("message"))
    if isinstance(message, Mapping):
        return message
    # Text alone, or its parts, is the content.
    return body if message is None else {**body, "message": None, "content": message}


def _scores(span: SpanRecorded) -> Iterator[Score]:
    for name, attributes in _events(span):
        value = number(attributes.get("gen_ai.evaluation.score.value"))
        if name == "gen_ai.evaluation.result" and value is not None:
            yield Score(name=text(attributes, "gen_ai.evaluation.name") or "primary", value=value)
