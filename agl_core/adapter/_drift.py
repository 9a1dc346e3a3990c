"""Drift: how many answers would be other tokens, had their text been kept and not their ids."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

__all__ = ["drift"]


def drift(
    answers: Iterable[Sequence[int]],
    *,
    decode: Callable[[Sequence[int]], str],
    encode: Callable[[str], Sequence[int]],
) -> float:
    """Share of `answers`, token ids as they were sampled, that come back as other ids when their text is encoded.

    Nothing here trains on ids that were made again from text. Whoever does (from a log of words alone, or behind an
    endpoint that keeps its ids) trains in this share of answers on tokens that the policy never sampled.
    """
    drifted = [list(encode(decode(ids))) != list(ids) for ids in answers]
    return sum(drifted) / len(drifted) if drifted else 0.0
