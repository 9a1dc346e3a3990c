"""A credit's sum, for people: a line for each term, with numbers that can be added again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from math import fsum
from typing import Any

__all__ = ["exact", "lines"]


def lines(terms: Sequence[Mapping[str, Any]], *, rollout_id: str, limit: int) -> Iterator[str]:
    """So many, or all for 0: the rollout's own first, and a why that several have above them."""
    ordered = sorted(terms, key=lambda term: bool(term["rollout_id"] != rollout_id))
    shown = ordered[: limit or None]
    products = [(exact(term["weight"]), exact(term["value"])) for term in shown]
    weights, values = (max(map(len, column)) for column in zip(*products, strict=True)) if shown else (0, 0)
    for why, them in groupby(shown, key=lambda term: term["why"]):
        alike = list(them)
        if len(alike) > 1:
            yield f"{why}:"
        for term in alike:
            product = f"{exact(term['weight']):>{weights}} * {exact(term['value']):<{values}}"
            yield f"{product}  {_of(term, rollout_id) if len(alike) > 1 else f'{why}; {_of(term, rollout_id)}'}"
    if rest := ordered[len(shown) :]:
        yield f"and {len(rest)} more, which add {exact(_added(rest))}: --limit 0 shows all"


def exact(value: float) -> str:
    """All digits that it takes to read the same number again, and no others."""
    return repr(value).removesuffix(".0")


def _added(terms: Sequence[Mapping[str, Any]]) -> float:
    return fsum(term["weight"] * term["value"] for term in terms)


def _of(term: Mapping[str, Any], rollout_id: str) -> str:
    """Whose the value is."""
    sibling = "" if term["rollout_id"] == rollout_id else f", of {term['rollout_id']}"
    if term["call_id"] is not None:
        return f"call {term['call_id']} earned it{sibling}"
    if term["reward_id"] is None:
        return f"by nobody{sibling}"
    named = "" if term["name"] == "primary" else f", {term['name']}"
    return f"reward {term['reward_id']} by {term['judge']}{named}{sibling}"
