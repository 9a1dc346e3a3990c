"""Keys and values of a batch, in buffers that grow by the block, so that a step copies one column and not all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

__all__ = ["Part", "Slab"]

_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Part:
    """A slab of some prompts, and which rows of the whole batch each of its rows becomes."""

    slab: Slab
    becomes: Sequence[Sequence[int]]


class Slab:
    """All layers of a batch, right-aligned: the newest column of every row is the last."""

    def __init__(self, layers: int) -> None:
        self.layers = [_Layer() for _ in range(layers)]
        self.cache = Cache(layers=list(self.layers))
        """What a model of transformers takes, reads and appends to."""

    @property
    def length(self) -> int:
        """Columns written so far."""
        return self.layers[0].length

    @classmethod
    def merged(cls, parts: Sequence[Part], *, rows: int) -> Slab:
        """One slab of `rows` rows."""
        slab = cls(len(parts[0].slab.layers))
        length = max(part.slab.length for part in parts)
        origins = [[origin for origin, targets in enumerate(part.becomes) for _ in targets] for part in parts]
        targets = [[target for targets in part.becomes for target in targets] for part in parts]
        for index, layer in enumerate(slab.layers):
            sources = [part.slab.layers[index] for part in parts]
            for side in range(2):
                first = sources[0].sides[side]
                buffer = first.new_empty(rows, first.shape[1], length + _BLOCK, first.shape[-1])
                for source, origin, target in zip(sources, origins, targets, strict=True):
                    start = length - source.length
                    # A column that is masked out still takes part, times nought, and nought times NaN is NaN.
                    buffer[target, :, :start] = 0
                    buffer[target, :, start:length] = source.sides[side][origin, :, : source.length]
                layer.sides[side] = buffer
            layer.length = length
        return slab

    def kept(self, rows: Tensor, *, drop: int) -> Slab:
        """These rows, without the first `drop` columns."""
        smaller = Slab(len(self.layers))
        for old, new in zip(self.layers, smaller.layers, strict=True):
            new.length = old.length - drop
            for side, buffer in enumerate(old.sides):
                fresh = buffer.new_empty(len(rows), buffer.shape[1], new.length + _BLOCK, buffer.shape[-1])
                fresh[:, :, : new.length] = buffer[rows, :, drop : old.length]
                new.sides[side] = fresh
        return smaller


class _Layer(DynamicLayer):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # transformers leaves it bare
        self.length = 0
        self.sides = [torch.empty(0), torch.empty(0)]
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append these columns, and give back all there are."""
        end = self.length + key_states.shape[-2]
        for side, new in enumerate((key_states, value_states)):
            if not self.length or end > self.sides[side].shape[-2]:
                self._grow(side, new, end)
            self.sides[side][:, :, self.length : end] = new
        self.length = end
        return self.sides[0][:, :, :end], self.sides[1][:, :, :end]

    def get_seq_length(self) -> int:
        """Columns written so far."""
        return self.length

    def _grow(self, side: int, like: Tensor, end: int) -> None:
        # A prompt gets what it needs, a running answer gets room: half as much again, so that copies stay few.
        room = end if not self.length else end + max(_BLOCK, end // 2)
        grown = like.new_empty(*like.shape[:2], room, like.shape[-1])
        if self.length:
            grown[:, :, : self.length] = self.sides[side][:, :, : self.length]
        self.sides[side] = grown
