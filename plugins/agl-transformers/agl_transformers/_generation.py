"""One answer being written: what it starts from, how it is sampled, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Finish", "Generation", "Sampling"]

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are drawn."""

    temperature: float = 1.0
    """0 takes the likeliest token."""
    top_p: float = 1.0
    top_k: int = 0
    """0 keeps all."""
    seed: int
    """The same seed draws the same tokens from the same probabilities, whatever else is in the batch."""


@dataclass(eq=False, slots=True, kw_only=True)
class Generation:
    """A row of a batch; the worker writes to it until it is delivered, and nobody after that.

    Who reads it before that reads `finish` first, and then as many `tokens` as there are `logprobs`: they are written
    in the other order.
    """

    prompt: Sequence[int]
    sampling: Sampling
    limit: int
    """Tokens it may have."""
    stops: Sequence[str] = ()
    is_watched: bool = False
    """Somebody wants to know of every token, and not of the last alone."""
    is_abandoned: bool = False
    """Nobody waits for it any more: it leaves the batch at the next step."""
    tokens: list[int] = field(default_factory=list)
    """Every sampled id, the end-of-turn id included."""
    logprobs: list[float] = field(default_factory=list)
    """Of each sampled id, under the distribution it was drawn from."""
    finish: Finish | None = None
    version: int = 0
    """Policy version of the weights that wrote it."""
    failure: Exception | None = None
    """Why there is no answer."""
