"""What an algorithm cannot learn without, as it says itself; and what can be told of that before anything runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, get_args

from agl_core.datasets import overlaps
from agl_core.errors import AglError, BadValue, GroupTooSmall, NoExploration

__all__ = ["Learns", "Need", "foreseen", "needs_of"]

Need = Literal["calls", "rewards", "token_ids", "groups", "exploration"]
"""Model calls that were captured; a reward for each rollout; the ids of what was sampled; several samples of a task to
compare; samples that differ."""


class Learns(Protocol):
    """What an algorithm says to have its runs looked at before they cost anything.

    With `groups` its `config.group_size` is looked at, with `exploration` its `config.temperature`, where it has them.
    """

    needs: Collection[Need]


def needs_of(algorithm: Any) -> frozenset[Need]:
    """What it needs; nothing where it does not say."""
    needs = frozenset(getattr(algorithm, "needs", ()))
    if unknown := needs - set(get_args(Need)):
        raise BadValue("needs", sorted(unknown), why=f"an algorithm needs some of {', '.join(get_args(Need))}")
    return needs


def foreseen(
    algorithm: Any,
    *,
    needs: Collection[Need],
    splits: Mapping[str, Sequence[Any]],
    sampling: Mapping[str, Mapping[str, Any]],
) -> Iterator[AglError]:
    """What is wrong with a run that has not begun."""
    config = getattr(algorithm, "config", None)
    size, temperature = (getattr(config, name, None) for name in ("group_size", "temperature"))
    if "groups" in needs and isinstance(size, int) and size < 2:
        yield GroupTooSmall(size)
    if "exploration" in needs:
        if sampling.get("train", {}).get("temperature") == 0:
            yield NoExploration('sampling["train"] of the trainer')
        elif temperature == 0:
            yield NoExploration("the algorithm")
    yield from overlaps(splits)
