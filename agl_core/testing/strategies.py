"""Hypothesis strategies for everything a log can hold: made from the types, so that a new event is drawn at once."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from agl_core.events import CORE_EVENTS, BatchFormed, Event, NoteTaken, Packing, RolloutConfig, Unknown
from agl_core.record import Draft
from agl_core.testing._random_traces import traces

__all__ = ["drafts", "event", "events", "json_values", "texts", "traces", "unknowns"]

_INT64 = 1 << 63


def events() -> st.SearchStrategy[Event]:
    """Any event of the core."""
    return st.one_of([event(cls) for cls in CORE_EVENTS])


def event(cls: type[Event]) -> st.SearchStrategy[Any]:
    """Any event of a class: every field drawn from its type."""
    hint: Any = cls
    return _value(hint)


def unknowns() -> st.SearchStrategy[Unknown]:
    """Facts of a type that this process does not know."""
    return st.builds(
        Unknown,
        name=st.sampled_from(["weather.changed", "call.dreamt"]),
        version=st.integers(1, 9),
        data=st.dictionaries(texts(), json_values(), max_size=4),
    )


def drafts(
    of: st.SearchStrategy[Event] | None = None, *, streams: st.SearchStrategy[str] | None = None
) -> st.SearchStrategy[Draft]:
    """A draft without a key, by default of a note on one of a few streams."""
    return st.builds(
        Draft,
        stream=st.sampled_from(["log", "run/run-1", "rollout/ro-1"]) if streams is None else streams,
        event=event(NoteTaken) if of is None else of,
        actor=st.sampled_from(["agl-core", "agl-apo 0.1.0"]),
        occurred_at=st.none() | st.integers(0, _INT64 - 1),
    )


def texts(max_size: int = 12) -> st.SearchStrategy[str]:
    """Any text that UTF-8 can write."""
    return st.text(st.characters(codec="utf-8"), max_size=max_size)


def json_values(max_leaves: int = 6) -> st.SearchStrategy[Any]:
    """Any JSON, with a taste for what looks like the log's own references."""
    leaves = st.none() | st.booleans() | st.integers(-_INT64, _INT64 - 1) | _FLOATS | texts()
    names = texts() | st.sampled_from(["$pool", "$u32", "$f32", "$chat", "$as_is", "n", "erased"])
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
        max_leaves=max_leaves,
    )


_FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@cache
def _value(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type annotation."""
    if made := _SPECIAL.get(hint):
        return made()
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint, include_extras=True)
        return st.builds(hint, **{field.name: _value(hints[field.name]) for field in fields(hint) if field.init})
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _packed(arguments[0], next((mark for mark in arguments[1:] if isinstance(mark, Packing)), None))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of([_value(one) for one in arguments])
    if origin is tuple and arguments[-1] is not Ellipsis:
        return st.tuples(*map(_value, arguments))
    if origin is tuple:
        return st.lists(_value(arguments[0]), max_size=3).map(tuple)
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(texts(), _value(arguments[1]), max_size=3)
    raise TypeError(f"no strategy for {hint!r}: add one to agl_core.testing.strategies")


def _packed(hint: Any, packing: Packing | None) -> st.SearchStrategy[Any]:
    match packing:
        case Packing.U32 | Packing.ONCE:
            # Long ones now and then, so that there is more than one chunk.
            short = st.lists(st.integers(0, 2**32 - 1), max_size=4)
            return (short | st.integers(0, 700).map(lambda n: [id_ % 151_643 for id_ in range(n)])).map(tuple)
        case Packing.F32:
            singles = st.floats(width=32, allow_nan=False, allow_infinity=False)
            return st.lists(singles, max_size=4).map(tuple)
        case _:
            return _value(hint)


def _batches() -> st.SearchStrategy[BatchFormed]:
    """Batches that add up."""
    counts = st.dictionaries(texts(), st.integers(0, 1000), max_size=3)
    return st.builds(
        lambda kept, dropped, **others: BatchFormed(
            kept=kept, dropped=dropped, captured=kept + sum(dropped.values()), **others
        ),
        kept=st.integers(0, 1000),
        dropped=counts,
        masked=counts,
        rows=st.integers(0, 1000),
        rollouts=st.lists(texts(), max_size=3).map(tuple),
        run_id=texts(),
        batch_id=texts(),
        adapter=texts(),
        digest=texts(),
    )


def _configs() -> st.SearchStrategy[RolloutConfig]:
    """Configurations that are not refused."""
    # Whole numbers too: people write `timeout_seconds=30`.
    seconds = st.none() | st.integers(1, 3600) | st.floats(0.001, 1e6)
    conditions = st.sampled_from(["failed", "timeout", "unresponsive", "infrastructure", "agent_raised", "gave_up"])
    return st.builds(
        RolloutConfig,
        timeout_seconds=seconds,
        unresponsive_seconds=seconds,
        max_attempts=st.integers(1, 20),
        retry_condition=st.lists(conditions, max_size=3, unique=True).map(tuple),
    )


_SPECIAL: Mapping[Any, Callable[[], st.SearchStrategy[Any]]] = {
    BatchFormed: _batches,
    RolloutConfig: _configs,
    str: texts,
    bool: st.booleans,
    int: lambda: st.integers(-_INT64, _INT64 - 1),
    float: lambda: _FLOATS,
    type(None): st.none,
    Any: json_values,
}
