"""Events of which something was erased on purpose: what a reader gets instead, and what tables fold from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from agl_core.codec import Codec, before, references
from agl_core.errors import BadPayload, ContentErased
from agl_core.events import Event, Unknown
from agl_core.log._blobs import fetch
from agl_core.record import Record

if TYPE_CHECKING:
    from agl_core.log._sqlite import SqliteLog

__all__ = ["foldable", "readable"]

Get = Callable[[str], bytes]
_BLANK: dict[str, Callable[[int], Any]] = {
    "$u32": lambda n: [0] * n,
    "$f32": lambda n: [0.0] * n,
    "$chat": lambda _n: [],
}
"""In place of a chain: as many numbers as there were, since tables count them."""
_GONE = object()


def readable(codec: Codec, type_: str, schema: int, data: str, get: Get) -> Event:
    """The event; `Unknown`, with its data as the file has it, when blobs of it were erased."""
    try:
        return codec.decode(type_, schema, data, get)
    except ContentErased:
        return Unknown(name=type_, version=schema, data=msgspec.json.decode(data))


def foldable(
    log: SqliteLog, *, after: int = 0, until: int | None = None, stream: str | None = None
) -> Iterator[Record]:
    """The records as tables take them in: what was erased from an event is blank there, and counts what it counted."""
    for record in log.read(after=after, until=until, stream=stream):
        event = record.event
        if isinstance(event, Unknown) and log.codec.vocabulary.get(event.name) and event.data.keys() != {"erased"}:
            with log.reading() as db:
                yield replace(record, event=_blanked(log.codec, event, fetch(db)))
        else:
            yield record


def _blanked(codec: Codec, event: Unknown, get: Get) -> Event:
    # A field without a default has to say something: null, which is what it says now.
    for gone in (_GONE, None):
        data = msgspec.json.encode(_without(dict(event.data), get, gone))
        try:
            return codec.decode(event.name, event.version, data, get)
        except (BadPayload, ContentErased):
            continue
    return event


def _without(value: Any, get: Get, gone: object) -> Any:
    if isinstance(value, list):
        return [_without(one, get, gone) for one in value]
    if not isinstance(value, dict) or "$as_is" in value:
        return value
    for mark, blank in _BLANK.items():
        if value.keys() == {mark, "n"}:
            return blank(value["n"]) if _is_gone(value, get) else value
    if value.keys() == {"$pool"}:
        return gone if _is_gone(value, get) else value
    inner = {name: _without(one, get, gone) for name, one in value.items()}
    return {name: one for name, one in inner.items() if one is not _GONE}


def _is_gone(reference: dict[str, Any], get: Get) -> bool:
    """Whether a link of the chain is; a chain that is whole ends at one that has none before it."""
    for mark, tip in references(msgspec.json.encode(reference)):
        at: str | None = tip
        while at is not None:
            try:
                at = before(mark, get(at))
            except ContentErased:
                return True
    return False
