"""The codec: what an event looks like in the log, and what a row of the log means today."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import msgspec

from agl_core.codec._packing import JSON, pack, plan, single
from agl_core.codec._unpacking import Get, Links, filled, reads, unpacked
from agl_core.errors import BadPayload
from agl_core.events import CORE_EVENTS, CORE_UPCASTS, Event, Unknown, Vocabulary

__all__ = ["Codec", "Encoded"]

_learning = threading.Lock()


@dataclass(frozen=True, slots=True)
class Encoded:
    """An event as the log keeps it."""

    type: str
    schema: int
    data: bytes
    event: Event
    """As it will be read back: what folds it now and what folds it again see the same."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    """What `data` refers to, by content id."""


class Codec:
    """Writes events of a vocabulary down, and reads them back whatever their schema was."""

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        self.vocabulary = vocabulary or Vocabulary(CORE_EVENTS, CORE_UPCASTS)
        self._links: Links = OrderedDict()
        self._decoders: dict[type[Event], msgspec.json.Decoder[Any]] = {}

    def encode(self, event: Event) -> Encoded:
        """`event` as sorted JSON; packed fields become references, `{"$u32": id, "n": 320}` and the like.

        What could not be read back is refused with `BadPayload`: a log keeps its mistakes for ever.
        """
        if isinstance(event, Unknown):
            return Encoded(event.name, event.version, JSON.encode(dict(event.data)), event)
        blobs: dict[str, bytes] = {}
        try:
            self._decoder(type(event))
            how = plan(type(event))  # type: ignore[arg-type]  # a class is hashable, whatever its instances are
            plain = single(how, msgspec.to_builtins(event, str_keys=True))
            # Written from what will be read: a time-out of 30 is 30.0 there, and equal events have equal bytes.
            readable = msgspec.convert(plain, type(event))
            data = JSON.encode(pack(how, readable, blobs))
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
            raise BadPayload(event.type, why=str(error)) from None
        return Encoded(event.type, event.schema, data, readable, blobs)

    def forget(self) -> None:
        """Read every blob again from now on."""
        self._links.clear()

    def decode(self, type_: str, schema: int, data: bytes | str, get: Get) -> Event:
        """The event in today's schema; `get` finds blobs. An unknown type, or a later schema, stays `Unknown`."""
        text = data if isinstance(data, str) else data.decode()
        cls = self.vocabulary.get(type_)
        try:
            if cls is None or schema > cls.schema or text.startswith('{"erased"'):
                return Unknown(name=type_, version=schema, data=msgspec.json.decode(text))
            decoder = self._decoder(cls)
            if schema < cls.schema:
                whole = unpacked(msgspec.json.decode(text), get, self._links)
                return msgspec.convert(self.vocabulary.climb(type_, schema, whole), cls)
            if "$" not in text:
                return decoder.decode(text)  # type: ignore[no-any-return]  # an event, by its class
            raw = msgspec.json.decode(text)
            if "$as_is" in text:
                return msgspec.convert(unpacked(raw, get, self._links), cls)
            how = reads(cls)  # type: ignore[arg-type]  # a class is hashable, whatever its instances are
            return msgspec.convert(filled(how, raw, get, self._links), cls)
        except (msgspec.MsgspecError, ValueError) as error:
            raise BadPayload(type_, why=str(error)) from None

    def _decoder(self, cls: type[Event]) -> msgspec.json.Decoder[Any]:
        known = self._decoders.get(cls)
        if known is None:
            # Two threads that are the first to use a class crash inside msgspec (0.22), where it learns its fields.
            with _learning:
                known = self._decoders[cls] = msgspec.json.Decoder(cls)
        return known
