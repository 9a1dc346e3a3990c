"""What cannot be written down, or read back."""

from __future__ import annotations

from agl_core.errors._base import AglError

__all__ = [
    "BadPayload",
    "CodecError",
    "UpcastGap",
]


class CodecError(AglError):
    """An event could not be written down or read back."""

    code = "CODEC_ERROR"


class UpcastGap(CodecError):
    """The ladder from an old schema to today's misses a rung, or has one too many."""

    code = "UPCAST_GAP"

    def __init__(self, type_: str, *, schema: int, why: str) -> None:
        super().__init__(
            f"event type {type_!r} has no single way up from schema {schema}: {why}", type=type_, schema=schema, why=why
        )


class BadPayload(CodecError):
    """The data of an event does not fit its type."""

    code = "BAD_PAYLOAD"

    def __init__(self, type_: str, *, why: str) -> None:
        super().__init__(f"data of {type_!r} does not fit: {why}", type=type_, why=why)
