"""Names for things: ULIDs for what happens, hashes for what is."""

from __future__ import annotations

import hashlib
import json
import os
import time
from typing import Any

from agl_core.errors import BadValue

__all__ = ["canonical", "content_id", "digest", "new_id", "task_id", "ulid"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
"""Two digits at a time: every fact gets an id, and a digit at a time takes four times as long."""


def ulid() -> str:
    """A lower-case ULID: 48 bits of milliseconds, 80 random bits (github.com/ulid/spec)."""
    number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -10, -10)])


def new_id(prefix: str) -> str:
    """A fresh id such as `ro-01j9...`; the prefix says what it names."""
    return f"{prefix}-{ulid()}"


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, UTF-8 and no NaN: equal values give equal bytes."""
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadValue("value", value, why=f"it is not plain JSON ({error})") from None


def digest(content: bytes) -> str:
    """Hexadecimal blake2b-256 of `content`."""
    return hashlib.blake2b(content, digest_size=32).hexdigest()


def content_id(content: bytes) -> str:
    """The id of a blob: `b2:` and the hash of its bytes."""
    return "b2:" + digest(content)


def task_id(task: Any, copy: int = 0) -> str:
    """`ta-` and a hash of the task's canonical JSON: equal tasks have equal ids, but for copies after the first."""
    return "ta-" + digest(canonical(task) + (b"\0%d" % copy if copy else b""))[:32]
