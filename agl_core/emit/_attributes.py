"""Attributes: nested values as flat names and back, values that OpenTelemetry can carry, tags and links."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from agl_core.emit.semconv import LightningSpanAttributes
from agl_core.errors import BadValue
from agl_core.spans import plain

__all__ = [
    "Link",
    "check_attributes_sanity",
    "extract_links_from_attributes",
    "extract_tags_from_attributes",
    "filter_and_unflatten_attributes",
    "filter_attributes",
    "flatten_attributes",
    "make_link_attributes",
    "make_tag_attributes",
    "query_linked_spans",
    "sanitize_attribute_value",
    "sanitize_attributes",
    "unflatten_attributes",
]

SpanT = TypeVar("SpanT")
_LITERALS = (str, bool, int, float)
_OWN = {"trace_id", "span_id"}
"""Keys of a link that mean the span itself, and no attribute of it."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a linked span has: an attribute of that value, or that `trace_id` or `span_id`."""

    key_match: str
    value_match: str


# --- tags and links


def make_tag_attributes(tags: Sequence[str]) -> dict[str, Any]:
    """Attributes that say the tags."""
    for tag in tags:
        if not isinstance(tag, str):
            raise BadValue("tag", tag, why="a tag is text")
    return {f"{LightningSpanAttributes.TAG}.{number}": tag for number, tag in enumerate(tags)}


def extract_tags_from_attributes(attributes: Mapping[str, Any]) -> list[str]:
    """The tags that attributes say, in their order; none is an empty list."""
    found = filter_and_unflatten_attributes(attributes, LightningSpanAttributes.TAG)
    return [tag for tag in (found if isinstance(found, list) else found.values()) if isinstance(tag, str)]


def make_link_attributes(links: Mapping[str, str]) -> dict[str, Any]:
    """Attributes that link to the spans that have all of these; such a span may come later, or never.

    A reward that is linked by `span_id` is of that span, and not of the rollout.
    """
    attributes: dict[str, Any] = {}
    for number, (key, value) in enumerate(links.items()):
        if not isinstance(value, str):
            raise BadValue(f"link {key!r}", value, why="what a link matches is text")
        name = f"{LightningSpanAttributes.LINK}.{number}"
        attributes |= {f"{name}.key_match": key, f"{name}.value_match": value}
    return attributes


def extract_links_from_attributes(attributes: Mapping[str, Any]) -> list[Link]:
    """The links that attributes say, in their order; none is an empty list."""
    found = filter_and_unflatten_attributes(attributes, LightningSpanAttributes.LINK)
    links = [link for link in (found if isinstance(found, list) else found.values()) if isinstance(link, Mapping)]
    pairs = ((link.get("key_match"), link.get("value_match")) for link in links)
    return [Link(key, value) for key, value in pairs if isinstance(key, str) and isinstance(value, str)]


def query_linked_spans(spans: Sequence[SpanT], links: Sequence[Link]) -> list[SpanT]:
    """Those of `spans` that every one of `links` matches, exactly. No links match nothing."""
    return [span for span in spans if links and all(_matches(span, link) for link in links)]


def _matches(span: Any, link: Link) -> bool:
    if link.key_match not in _OWN:
        attributes = span.attributes or {}
        return link.key_match in attributes and str(attributes[link.key_match]) == link.value_match
    if hasattr(span, link.key_match):
        return bool(getattr(span, link.key_match) == link.value_match)
    # A span of OpenTelemetry's SDK has its ids as numbers.
    context = span.get_span_context()
    width = 32 if link.key_match == "trace_id" else 16
    return context is not None and format(getattr(context, link.key_match), f"0{width}x") == link.value_match


# --- flat and nested


def flatten_attributes(
    nested_data: Mapping[str, Any] | Sequence[Any], *, expand_leaf_lists: bool = False
) -> dict[str, Any]:
    """Names with dots for what lies in maps and lists; a list of values of one kind stays, unless it is expanded."""
    return dict(_flat(nested_data, "", expand=expand_leaf_lists))


def _flat(value: Any, name: str, *, expand: bool) -> Iterator[tuple[str, Any]]:
    prefix = f"{name}." if name else ""
    match value:
        case Mapping():
            for key, inner in value.items():
                if not isinstance(key, str):
                    raise BadValue("attribute", key, why="its name is text")
                yield from _flat(inner, prefix + key, expand=expand)
        case list() if not name or expand or not _is_of_one_kind(value):
            for number, inner in enumerate(value):
                yield from _flat(inner, f"{prefix}{number}", expand=expand)
        case _ if not (isinstance(value, list) and not value):
            yield name, value


def unflatten_attributes(flat_data: Mapping[str, Any]) -> dict[str, Any] | list[Any]:
    """What `flatten_attributes` came from: names that count from 0 are a list; what lies below a name hides it."""
    root: dict[str, Any] = {}
    for name, value in flat_data.items():
        branch = root
        *steps, last = name.split(".")
        for step in steps:
            below = branch.get(step)
            if not isinstance(below, _Branch):
                below = branch[step] = _Branch()
            branch = below
        if not isinstance(branch.get(last), _Branch):
            branch[last] = value
    nested: dict[str, Any] | list[Any] = _listed(root)
    return nested


class _Branch(dict[str, Any]):
    """A map that names with dots made, and no value that was given."""


def _listed(branch: dict[str, Any]) -> Any:
    found = {name: _listed(inner) if isinstance(inner, _Branch) else inner for name, inner in branch.items()}
    if found and set(found) == {str(number) for number in range(len(found))}:
        return [found[str(number)] for number in range(len(found))]
    return found


def filter_attributes(attributes: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Those of that name, and those below it."""
    return {name: value for name, value in attributes.items() if name == prefix or name.startswith(f"{prefix}.")}


def filter_and_unflatten_attributes(attributes: Mapping[str, Any], prefix: str) -> dict[str, Any] | list[Any]:
    """What lies below a name, nested."""
    start = f"{prefix}."
    return unflatten_attributes(
        {name.removeprefix(start): value for name, value in attributes.items() if name.startswith(start)}
    )


# --- values that OpenTelemetry can carry


def sanitize_attributes(attributes: Mapping[str, Any], force: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - v0.3's signature
    """Each value as `sanitize_attribute_value` has it."""
    return {name: sanitize_attribute_value(value, force) for name, value in attributes.items()}


def sanitize_attribute_value(object: Any, force: bool = True) -> Any:  # noqa: FBT001, FBT002 - v0.3's signature
    """Text, a number, a truth value or a list of one kind of these as it is; anything else as JSON.

    What is no JSON is told as text; without `force` it is `BadValue`.
    """
    if isinstance(object, _LITERALS) or (isinstance(object, list) and _is_of_one_kind(object)):
        return object
    try:
        return json.dumps(object)
    except (TypeError, ValueError, RecursionError):
        if force:
            return json.dumps(plain(object))
    raise BadValue("attribute", object, why="it is not JSON")


def check_attributes_sanity(attributes: Mapping[Any, Any]) -> None:
    """`BadValue` for a name that is no text, or a value that OpenTelemetry cannot carry."""
    for name, value in attributes.items():
        if not isinstance(name, str):
            raise BadValue("attribute", name, why="its name is text")
        if not (isinstance(value, _LITERALS) or (isinstance(value, list) and _is_of_one_kind(value))):
            raise BadValue(f"attribute {name!r}", value, why="it is text, a number, a truth value or a list of those")


def _is_of_one_kind(values: list[Any]) -> bool:
    kinds = {type(value) for value in values}
    return not kinds or (len(kinds) == 1 and kinds <= set(_LITERALS)) or kinds <= {bool, int, float}
