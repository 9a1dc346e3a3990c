"""Draws one token for every row, from noise that depends on the row's own seed and step and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from agl_transformers._generation import Sampling

__all__ = ["Sampler", "seed_of", "uniform"]

_COLDEST = 1e-5  # below it, logits divided by the temperature overflow: that is greedy

_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_64 = (1 << 64) - 1
_53 = (1 << 53) - 1


class Sampler:
    """Temperature, then top-k, then top-p, then one draw by the inverse of the distribution function."""

    def __init__(self, rows: Sequence[Sampling], device: torch.device) -> None:
        greedy = [row.temperature < _COLDEST for row in rows]
        # Greedy rows report log-probabilities at temperature 1: those of a point mass would all be zero.
        heat = [1.0 if cold else row.temperature for row, cold in zip(rows, greedy, strict=True)]
        self._heat = torch.tensor(heat, device=device).unsqueeze(1)
        self._greedy = torch.tensor(greedy, device=device)
        self._top_p = torch.tensor([row.top_p for row in rows], device=device).unsqueeze(1)
        self._top_k = torch.tensor([row.top_k for row in rows], device=device).unsqueeze(1)
        self._seeds = torch.tensor([_signed(row.seed) for row in rows], device=device)
        self._is_greedy = any(greedy)
        self._is_truncated = any(row.top_p < 1 or row.top_k for row in rows)

    def draw(self, logits: Tensor, *, step: int) -> tuple[Tensor, Tensor]:
        """A token id for each row, and the log-probability it was drawn with."""
        scaled = logits.float() / self._heat
        if self._is_truncated:
            scaled = _truncated(scaled, self._top_p, self._top_k)
        logprobs = scaled.log_softmax(-1)
        # float64: in float32 the sum over a large vocabulary loses the unlikely tokens.
        cumulated = logprobs.exp().cumsum(-1, dtype=torch.float64)
        # Times the total, which is 1 but for rounding: the draw can never fall behind the last possible token.
        drawn = torch.searchsorted(cumulated, uniform(self._seeds, step).unsqueeze(1) * cumulated[:, -1:], right=True)
        ids = drawn.clamp_(max=logits.shape[-1] - 1)
        if self._is_greedy:
            ids = torch.where(self._greedy.unsqueeze(1), scaled.argmax(-1, keepdim=True), ids)
        return ids.squeeze(1), logprobs.gather(1, ids).squeeze(1)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self._heat, self._greedy, self._seeds = self._heat[rows], self._greedy[rows], self._seeds[rows]
        self._top_p, self._top_k = self._top_p[rows], self._top_k[rows]


def uniform(seeds: Tensor, step: int) -> Tensor:
    """A number in [0, 1) for each seed at this step: SplitMix64, whose state after n draws is `seed + n * golden`."""
    word = seeds + _signed((step + 1) * _GOLDEN)
    word = (word ^ _shifted(word, 30)) * _signed(_FIRST)
    word = (word ^ _shifted(word, 27)) * _signed(_SECOND)
    word = word ^ _shifted(word, 31)
    return _shifted(word, 11).double() / (_53 + 1)


def seed_of(seed: int, choice: int) -> int:
    """A seed for each of the `n` choices of a request; neighbouring seeds give unrelated noise."""
    word = (seed * _GOLDEN + choice * _SECOND + _FIRST) & _64
    word = ((word ^ (word >> 30)) * _FIRST) & _64
    word = ((word ^ (word >> 27)) * _SECOND) & _64
    return word ^ (word >> 31)


def _truncated(logits: Tensor, top_p: Tensor, top_k: Tensor) -> Tensor:
    """Logits with -inf for what top-k and then top-p leave out; the likeliest token always stays."""
    ordered, places = logits.sort(-1, descending=True)
    ranks = torch.arange(logits.shape[-1], device=logits.device)
    ordered = ordered.masked_fill((top_k > 0) & (ranks >= top_k), -torch.inf)
    probabilities = ordered.softmax(-1)
    before = probabilities.cumsum(-1) - probabilities
    # The test on rank: top_p = 0 would otherwise leave nothing.
    ordered = ordered.masked_fill((top_p < 1) & (before >= top_p) & (ranks > 0), -torch.inf)
    return torch.empty_like(logits).scatter_(-1, places, ordered)


def _shifted(word: Tensor, bits: int) -> Tensor:
    """A logical shift to the right; torch's own keeps the sign."""
    return (word >> bits) & ((1 << (64 - bits)) - 1)


def _signed(word: int) -> int:
    word &= _64
    return word - (1 << 64) if word >> 63 else word
