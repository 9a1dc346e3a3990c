"""A training row: one exact sequence of tokens, which of them were sampled, and what they earned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from agl_core.events import Provenance

__all__ = ["Row", "Turn", "turns"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One or more calls of a rollout whose tokens are one sequence. Plain values: equal rows have equal JSON."""

    rollout_id: str
    attempt_id: str
    task_id: str
    run_id: str | None
    group: str | None
    """Rows of one task in one group of one run are of rollouts that are compared with each other."""
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
    credits: tuple[float, ...]
    """What each call earned: its credit, or the rollout's final reward where no rule made one. It is of every token
    the call sampled; of a call with several answers it is the credit of each, in as many rows."""
    policy_versions: tuple[int | None, ...]
    """Version of the weights that spoke, one a call."""
    staleness: tuple[int | None, ...]
    """How many versions behind the one in training each call was; None where either is not known."""
    provenance: tuple[Provenance, ...]
    """Where the token ids of each call are from: `engine`, or `retokenised` where those are allowed."""
    reward: float | None
    """Final reward of the rollout: the same in all of its rows; None of one that has none, and credit for its calls."""
    temperature: float
    rollout_tokens: int
    """Sampled tokens of all rows of the rollout; those of rows that are too long, and dropped, are not among them. A
    loss divided by it, not by the row's own length, weighs the rollout the same however it was cut into rows."""
    began: str
    """Why the row begins here. A beginning: `start` (nothing was said before), `call` (rows are calls), `choice`
    (another answer of the same call), `branched` (that history was continued once already), `other_agent`,
    `other_temperature`. Or a break in the history: `retokenised` (same words, other tokens where the model spoke),
    `template` (same words, other tokens around them), `truncated` (the agent took messages out, or shortened some),
    `edited_history` (other words)."""
    differs_at: int | None = None
    """Where it does not just start: the first index where its prompt leaves the row it shares most with. Of a break
    that is the row it follows by its words."""
    differs_from: str | None = None
    """The call of that row whose token stands there."""
    expected: tuple[int, ...] = ()
    """What that row has from there: a few tokens, for people."""


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
