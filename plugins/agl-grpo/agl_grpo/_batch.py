"""Rows as tensors: padded on the right, in passes of rows that are about as long."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Batch", "Lesson", "Row", "as_batch", "batches", "passes"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A row, and what is known of it beside."""

    row: Row
    weight: float = 0.0
    """Of each of its tokens in the loss."""
    old: Sequence[float] | None = None
    """Log-probabilities that ratios are taken to; none of a row where those of the rollout serve."""
    reference: Sequence[float] = ()
    """Those of the first checkpoint, where they are wanted."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B rows of at most L tokens with N sampled tokens among them."""

    tokens: Tensor
    """B x L. Padding comes last, where a causal model cannot see it from any real token: there is no mask."""
    at: Tensor
    """N: places in the flattened B x L whose next token was sampled."""
    sampled: Tensor
    """N: that token."""
    rollout: Tensor
    """N: its log-probability when it was."""
    old: Tensor
    """N: the one that its ratio is taken to."""
    reference: Tensor
    """N: the one under the first checkpoint, or nothing at all."""
    advantage: Tensor
    """N: the credit of its call."""
    weight: Tensor
    """N: its share of the loss."""
    temperature: Tensor
    """N: at which it was sampled."""

    def to(self, device: torch.device) -> Batch:
        """The same on `device`."""
        return Batch(*(getattr(self, field.name).to(device) for field in fields(self)))


def batches(lessons: Sequence[Lesson], *, tokens_per_pass: int, sampled_per_pass: int) -> Iterator[Batch]:
    """All of them, in passes. Weighted losses add up to the same, however rows are cut into passes."""
    for some in passes(lessons, tokens_per_pass=tokens_per_pass, sampled_per_pass=sampled_per_pass):
        yield as_batch(some)


def passes(lessons: Sequence[Lesson], *, tokens_per_pass: int, sampled_per_pass: int) -> Iterator[list[Lesson]]:
    """What goes through the model together: shortest first, no wider than one may be, one row at least."""
    some: list[Lesson] = []
    count = 0
    for lesson in sorted(lessons, key=_length):
        count += len(lesson.row.logprobs)
        if some and ((len(some) + 1) * _length(lesson) > tokens_per_pass or count > sampled_per_pass):
            yield some
            some, count = [], len(lesson.row.logprobs)
        some.append(lesson)
    if some:
        yield some


def as_batch(lessons: Sequence[Lesson]) -> Batch:
    """Side by side, padded to the longest."""
    width = max(map(_length, lessons))
    tokens: list[list[int]] = []
    at: list[int] = []
    sampled: list[int] = []
    calls: list[int] = []
    counts: list[int] = []
    for index, lesson in enumerate(lessons):
        row = lesson.row
        ids = row.token_ids
        tokens.append([*ids[:-1], *[0] * (width - _length(lesson))])
        said = [place for place, bit in enumerate(row.mask, start=row.prompt_length) if bit]
        at += [index * width + place - 1 for place in said]
        sampled += [ids[place] for place in said]
        calls += row.sampled
        counts.append(len(said))
    repeats = torch.tensor(counts)

    def of_row(values: list[float]) -> Tensor:
        return torch.tensor(values).repeat_interleave(repeats)

    def of_token(values: Iterable[Sequence[float]]) -> Tensor:
        return torch.tensor([value for some in values for value in some])

    earned = torch.tensor([credit for lesson in lessons for credit in lesson.row.credits])
    return Batch(
        tokens=torch.tensor(tokens),
        at=torch.tensor(at),
        sampled=torch.tensor(sampled),
        rollout=of_token(lesson.row.logprobs for lesson in lessons),
        old=of_token(lesson.row.logprobs if lesson.old is None else lesson.old for lesson in lessons),
        reference=of_token(lesson.reference for lesson in lessons),
        advantage=earned.repeat_interleave(torch.tensor(calls)),
        weight=of_row([lesson.weight for lesson in lessons]),
        temperature=of_row([lesson.row.temperature for lesson in lessons]),
    )


def _length(lesson: Lesson) -> int:
    return len(lesson.row.token_ids) - 1  # the last token is said, and never read
