"""Writes what the agent says of its attempt beside rewards: messages, objects, annotations, exceptions."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from agl_core.emit._attributes import flatten_attributes
from agl_core.emit._core_fields import SpanCoreFields, core, sent
from agl_core.emit._exceptions import format_exception_attributes
from agl_core.emit.semconv import AGL_ANNOTATION, AGL_EXCEPTION, AGL_MESSAGE, AGL_OBJECT, LightningSpanAttributes
from agl_core.errors import BadValue

__all__ = [
    "annotation_span",
    "emit_annotation",
    "emit_exception",
    "emit_message",
    "emit_object",
    "exception_span",
    "message_span",
    "object_span",
]


def emit_annotation(annotation: Mapping[str, Any], propagate: bool = True) -> SpanCoreFields:  # noqa: FBT001, FBT002 - v0.3's signature
    """Attach attributes to the attempt under way; nested ones get names with dots.

    One that states a reward in v0.3's words is that reward.
    """
    return sent(annotation_span(annotation), propagate=propagate)


def emit_message(message: str, attributes: Mapping[str, Any] | None = None, propagate: bool = True) -> None:  # noqa: FBT001, FBT002
    """Leave a line of text in the trace."""
    sent(message_span(message, attributes), propagate=propagate)


def emit_object(object: Any, attributes: Mapping[str, Any] | None = None, propagate: bool = True) -> SpanCoreFields:  # noqa: FBT001, FBT002
    """Leave a value in the trace: a plain one as it is, bytes as base64, else as JSON."""
    return sent(object_span(object, attributes), propagate=propagate)


def emit_exception(
    exception: BaseException,
    attributes: Mapping[str, Any] | None = None,
    propagate: bool = True,  # noqa: FBT001, FBT002
) -> None:
    """Leave an exception in the trace that the agent dealt with itself."""
    if not isinstance(exception, BaseException):
        raise BadValue("exception", exception, why="it is none; `emit_message` takes text")
    sent(exception_span(format_exception_attributes(exception), attributes), propagate=propagate)


# --- the spans that say it, also for what is told from elsewhere


def annotation_span(annotation: Mapping[str, Any]) -> SpanCoreFields:
    """Of attributes, flat or nested."""
    if not isinstance(annotation, Mapping):
        raise BadValue("annotation", annotation, why="it is a dict of attributes")
    return core(AGL_ANNOTATION, flatten_attributes(annotation))


def message_span(message: str, attributes: Mapping[str, Any] | None = None) -> SpanCoreFields:
    """Of a line of text."""
    if not isinstance(message, str):
        raise BadValue("message", message, why="it is text; an object may be anything else")
    return core(AGL_MESSAGE, {**_beside(attributes), LightningSpanAttributes.MESSAGE_BODY.value: message})


def object_span(object: Any, attributes: Mapping[str, Any] | None = None) -> SpanCoreFields:
    """Of a value."""
    found = {**_beside(attributes), LightningSpanAttributes.OBJECT_TYPE.value: type(object).__name__}
    literal, as_json = LightningSpanAttributes.OBJECT_LITERAL.value, LightningSpanAttributes.OBJECT_JSON.value
    match object:
        case str() | int() | float() | bool():
            found[literal] = object
        case bytes():
            found[literal] = base64.b64encode(object).decode()
        case _:
            try:
                found[as_json] = json.dumps(object)
            except (TypeError, ValueError, RecursionError) as error:
                raise BadValue("object", object, why=f"it is not JSON ({error})") from None
    return core(AGL_OBJECT, found)


def exception_span(exception: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> SpanCoreFields:
    """Of an exception's own attributes."""
    return core(AGL_EXCEPTION, {**_beside(attributes), **exception}, error=str(exception["exception.message"]))


def _beside(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return flatten_attributes(attributes or {})
