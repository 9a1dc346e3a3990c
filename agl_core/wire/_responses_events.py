"""A response as the events in which OpenAI streams it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agl_core.wire._chat_values import text
from agl_core.wire.sse import said

__all__ = ["render"]

Told = dict[str, Any]

_CONTENT = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text"}
"""Parts that come in deltas, and the field that grows."""


def render(body: Mapping[str, Any]) -> list[bytes]:
    """The events, numbered, the last of which bears the whole of `body`."""
    events = [*_opening(body), *_items(body.get("output")), _end(body)]
    return [said({**event, "sequence_number": place}, event=event["type"]) for place, event in enumerate(events)]


def _opening(body: Mapping[str, Any]) -> Iterator[Told]:
    blank = {name: None for name in ("usage", "incomplete_details", "error", "completed_at") if name in body}
    early = {**body, **blank, "status": "in_progress", "output": []}
    yield {"type": "response.created", "response": early}
    yield {"type": "response.in_progress", "response": early}


def _end(body: Mapping[str, Any]) -> Told:
    status = body.get("status")
    how = status if status in ("incomplete", "failed") else "completed"
    return {"type": f"response.{how}", "response": dict(body)}


def _items(output: Any) -> Iterator[Told]:
    for place, item in enumerate(output if isinstance(output, list) else ()):
        if isinstance(item, dict):
            yield from _item(item, {"output_index": place})


def _item(item: Told, at: Told) -> Iterator[Told]:
    at_item = {"item_id": text(item.get("id")) or "", **at}
    early = {**item, "status": "in_progress"} if "status" in item else dict(item)
    pieces: Iterator[Told] = iter(())
    match item.get("type"):
        case "message":
            early["content"] = []
            pieces = _parts(item.get("content"), at_item)
        case "function_call":
            early["arguments"] = ""
            pieces = _grown("function_call_arguments", "arguments", item, at_item)
        case "reasoning":
            early["summary"] = []
            early.pop("content", None)
            pieces = _thoughts(item, at_item)
    yield {"type": "response.output_item.added", **at, "item": early}
    yield from pieces
    yield {"type": "response.output_item.done", **at, "item": item}


def _thoughts(item: Told, at: Told) -> Iterator[Told]:
    summary = item.get("summary")
    for place, part in enumerate(summary if isinstance(summary, list) else ()):
        if isinstance(part, dict):
            here = {**at, "summary_index": place}
            yield {"type": "response.reasoning_summary_part.added", **here, "part": {**part, "text": ""}}
            yield from _grown("reasoning_summary_text", "text", part, here)
            yield {"type": "response.reasoning_summary_part.done", **here, "part": part}
    yield from _parts(item.get("content"), at)


def _parts(content: Any, at: Told) -> Iterator[Told]:
    for place, part in enumerate(content if isinstance(content, list) else ()):
        if isinstance(part, dict):
            yield from _part(part, {**at, "content_index": place})


def _part(part: Told, at: Told) -> Iterator[Told]:
    kind = text(part.get("type")) or ""
    field = _CONTENT.get(kind)
    blank: dict[str, Any] = {name: [] for name in ("annotations", "logprobs") if name in part}
    if field:
        blank[field] = ""
    early = {**part, **blank}
    yield {"type": "response.content_part.added", **at, "part": early}
    if field:
        yield from _grown(kind, field, part, at)
    yield {"type": "response.content_part.done", **at, "part": part}


def _grown(name: str, field: str, whole: Told, at: Told) -> Iterator[Told]:
    """One delta, and the whole; with a text come its log-probabilities and, between the two, its annotations."""
    words = text(whole.get(field)) or ""
    with_it = {"logprobs": whole.get("logprobs") or []} if name == "output_text" else {}
    if words:
        yield {"type": f"response.{name}.delta", **at, "delta": words, **with_it}
    annotations = whole.get("annotations") if name == "output_text" else None
    for place, annotation in enumerate(annotations if isinstance(annotations, list) else ()):
        here = {**at, "annotation_index": place, "annotation": annotation}
        yield {"type": "response.output_text.annotation.added", **here}
    yield {"type": f"response.{name}.done", **at, field: words, **with_it}
