"""A training row: one exact sequence of tokens, which of them were sampled, and what they earned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

__all__ = ["Row", "Turn", "turns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One or more calls of a rollout whose tokens are one sequence. Plain values: equal rows have equal JSON."""

    rollout_id: str
    attempt_id: str
    task_id: str
    repeat: int
    token_ids: tuple[int, ...]
    """The prompt of the first call, then everything that followed: what was sampled, and what later prompts put in."""
    prompt_length: int
    """Length of the first call's prompt."""
    mask: tuple[int, ...]
    """Over `token_ids[prompt_length:]`: 1 where this row's calls sampled the token."""
    logprobs: tuple[float, ...]
    """Of the sampled tokens, in order; as many as `mask` has ones."""
    call_ids: tuple[str, ...]
    sampled: tuple[int, ...]
    """Tokens each call sampled: with `mask`, this tells two calls apart that nothing was put between."""
    policy_versions: tuple[int | None, ...]
    """Version of the weights that spoke, one a call."""
    reward: float
    """Final reward of the rollout: the same in all of its rows."""
    temperature: float
    rollout_tokens: int
    """Sampled tokens of the whole rollout, over all of its rows. A loss divided by it, not by the row's own length,
    weighs the rollout the same however it was cut into rows."""
    began: str
    """Why the row begins here: `start` (nothing was said before), `call` (rows are calls), `choice` (another answer of
    the same call), `branched` (that history was continued once already), `other_temperature`, `other_agent`, or the
    break in the history: `retokenised` (same words, other tokens where the model spoke), `template` (same words,
    other tokens around them), `edited_history` (other words)."""
    differs_at: int | None = None
    """Of a break: the first index where the prompt leaves the row it shares most with."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer of one call, as it was captured."""

    call_id: str
    prompt: tuple[int, ...]
    sampled: tuple[int, ...]


def turns(row: Row) -> Iterator[Turn]:
    """The calls a row was merged from: the inverse of merging."""
    ones = (index for index, bit in enumerate(row.mask, start=row.prompt_length) if bit)
    for call_id, count in zip(row.call_ids, row.sampled, strict=True):
        start = next(islice(ones, count - 1, None)) - count + 1
        yield Turn(call_id, row.token_ids[:start], row.token_ids[start : start + count])
