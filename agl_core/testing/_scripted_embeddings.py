"""A scripted model's embeddings: vectors that are a function of the input."""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import shake_128
from typing import Any

from agl_core.testing._scripted_chat import refused
from agl_core.testing._scripted_completions import prompts_in
from agl_core.testing._scripted_faults import Failing
from agl_core.testing._scripted_values import Said, count_in

__all__ = ["body", "events", "failure", "prompts", "refused"]

_DIMENSIONS = 8


def prompts(asked: Mapping[str, Any]) -> list[list[int]]:
    """Each input as tokens; `ValueError` says what is wrong with them."""
    return prompts_in(asked.get("input"), name="input")


def body(said: Said) -> dict[str, Any]:
    """A vector for each input; what the script said is not asked for."""
    asked = said.asked.body
    dimensions = count_in(asked, "dimensions") or _DIMENSIONS
    vectors = [_vector(ids, dimensions) for ids in said.prompts]
    is_packed = asked.get("encoding_format") == "base64"
    read = sum(map(len, said.prompts))
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if is_packed else vector}
            for index, vector in enumerate(vectors)
        ],
        "model": said.model,
        "usage": {"prompt_tokens": read, "total_tokens": read},
    }


def events(_said: Said) -> None:
    """Embeddings have no stream."""


def failure(_said: Said, _fault: Failing) -> Iterator[bytes]:
    """Nor one to fail in."""
    yield from ()


def _vector(ids: tuple[int, ...], dimensions: int) -> list[float]:
    """Numbers between -1 and 1 that single precision keeps as they are."""
    return [(byte - 128) / 128 for byte in shake_128(repr(ids).encode()).digest(dimensions)]


def _packed(vector: list[float]) -> str:
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
