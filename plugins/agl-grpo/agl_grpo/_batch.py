"""Rows as tensors: padded on the right, in passes of rows that are about as long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Batch", "Row", "batches"]


class Row(Protocol):
    """What is read of a row; the `triplets` adapter says what each field means."""

    rollout_id: str
    token_ids: Sequence[int]
    prompt_length: int
    mask: Sequence[int]
    logprobs: Sequence[float]
    sampled: Sequence[int]
    credits: Sequence[float]
    temperature: float
    rollout_tokens: int


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B rows of at most L tokens with N sampled tokens among them."""

    tokens: Tensor
    """B x L. Padding comes last, where a causal model cannot see it from any real token: there is no mask."""
    at: Tensor
    """N: places in the flattened B x L whose next token was sampled."""
    sampled: Tensor
    """N: that token."""
    old: Tensor
    """N: its log-probability when it was."""
    advantage: Tensor
    """N: the credit of its call."""
    weight: Tensor
    """N: 1 / (sampled tokens of its rollout x rollouts that share the optimiser step)."""
    temperature: Tensor
    """N: at which it was sampled."""

    def to(self, device: torch.device) -> Batch:
        """The same on `device`."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


def batches(rows: Sequence[Row], rollouts: int, *, tokens_per_pass: int, sampled_per_pass: int) -> Iterator[Batch]:
    """All of `rows`, shortest first.

    Their weighted losses add up to the mean loss over that many rollouts, however these are cut into rows, and the rows
    into batches.
    """
    for some in _passes(sorted(rows, key=_length), tokens_per_pass, sampled_per_pass):
        yield _batch(some, rollouts)


def _length(row: Row) -> int:
    return len(row.token_ids) - 1  # the last token is said, and never read


def _passes(rows: Sequence[Row], tokens: int, sampled: int) -> Iterator[list[Row]]:
    some: list[Row] = []
    count = 0
    for row in rows:
        count += len(row.logprobs)
        if some and ((len(some) + 1) * _length(row) > tokens or count > sampled):
            yield some
            some, count = [], len(row.logprobs)
        some.append(row)
    if some:
        yield some


def _batch(rows: Sequence[Row], rollouts: int) -> Batch:
    width = max(map(_length, rows))
    tokens: list[list[int]] = []
    at: list[int] = []
    sampled: list[int] = []
    old: list[float] = []
    calls: list[int] = []
    counts: list[int] = []
    for index, row in enumerate(rows):
        ids = row.token_ids
        tokens.append([*ids[:-1], *[0] * (width - _length(row))])
        said = [place for place, bit in enumerate(row.mask, start=row.prompt_length) if bit]
        at += [index * width + place - 1 for place in said]
        sampled += [ids[place] for place in said]
        old += row.logprobs
        calls += row.sampled
        counts.append(len(said))
    repeats = torch.tensor(counts)

    def of_row(values: list[float]) -> Tensor:
        return torch.tensor(values).repeat_interleave(repeats)

    earned = torch.tensor([credit for row in rows for credit in row.credits])
    return Batch(
        tokens=torch.tensor(tokens),
        at=torch.tensor(at),
        sampled=torch.tensor(sampled),
        old=torch.tensor(old),
        advantage=earned.repeat_interleave(torch.tensor(calls)),
        weight=of_row([1 / (row.rollout_tokens * rollouts) for row in rows]),
        temperature=of_row([row.temperature for row in rows]),
    )
