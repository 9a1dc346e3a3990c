"""What a payload says beside the words we have for it: taken out, and put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["leftover", "merged"]

_NOTHING = object()


def leftover(raw: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """All that the payload has and the words do not; `merged` with `said` it holds the whole of `raw`, as it came."""
    return {
        name: left for name, value in raw.items() if (left := _left(value, said.get(name, _NOTHING))) is not _NOTHING
    }


def merged(said: Mapping[str, Any], left: Mapping[str, Any]) -> dict[str, Any]:
    """`said` with what was left over put back in its places."""
    if not left:
        return dict(said)
    return {**said, **{name: _put(said.get(name, _NOTHING), value) for name, value in left.items()}}


def _left(raw: Any, said: Any) -> Any:
    if raw is said or raw == said:
        return _NOTHING
    if isinstance(raw, dict) and isinstance(said, dict):
        return leftover(raw, said) or _NOTHING
    if _aligned(raw, said):
        parts = [leftover(one, other) for one, other in zip(raw, said, strict=True)]
        return parts if any(parts) else _NOTHING
    return raw


def _put(said: Any, left: Any) -> Any:
    if isinstance(said, dict) and isinstance(left, dict):
        return merged(said, left)
    if _aligned(left, said):
        return [merged(one, other) for one, other in zip(said, left, strict=True)]
    return left


def _aligned(one: Any, other: Any) -> bool:
    return (
        isinstance(one, list)
        and isinstance(other, list)
        and len(one) == len(other)
        and all(isinstance(item, dict) for item in (*one, *other))
    )
