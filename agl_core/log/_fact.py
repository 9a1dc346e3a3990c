"""Facts about a file, made for a place in it: what mending it has to say."""

from __future__ import annotations

from agl_core.codec import Codec
from agl_core.events import Event
from agl_core.ids import ulid
from agl_core.log._stored import Stored

__all__ = ["fact"]

ACTOR = "agl-log"


def fact(codec: Codec, event: Event, *, position: int, stream: str, version: int, now: int) -> Stored:
    """`event` as the file keeps it at that place."""
    made = codec.encode(event)
    row = (
        position, ulid(), stream, version, made.type, made.schema, made.data.decode(), None, None, None,
        ACTOR, now, now,
    )  # fmt: skip
    return Stored(row, tuple(made.blobs.items()))
