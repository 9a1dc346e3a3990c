"""Which split something belongs to, for ever: so no seed can put a thing of the test split among those learned from."""

from __future__ import annotations

from hashlib import blake2b
from typing import Literal

__all__ = ["Split", "split_of"]

Split = Literal["train", "val", "test"]


def split_of(what: str) -> Split:
    """Six of ten for training, one to look at on the way, three under seal."""
    match blake2b(what.encode()).digest()[0] % 10:
        case 0 | 1 | 2:
            return "test"
        case 3:
            return "val"
        case _:
            return "train"
