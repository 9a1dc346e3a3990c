"""Re-projection: the rows of a batch made again from events, a few tasks at a time; no code of an agent runs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from typing import Any, cast

import msgspec

from agl_core.adapter import Adapted, Adapter, Trace, is_by_task
from agl_core.errors import ContentErased, NotReplayable, UnknownName
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.replay.recipes import Recipe, there
from agl_core.run import Failures, Selection, adapted, treated
from agl_core.run._adapters import adapter
from agl_core.spans import DIALECTS, SpanDialect, reading_by
from agl_core.store import Queries

__all__ = ["COUNTED", "Projection", "spoken"]

_TOGETHER = 64
"""Rollouts in memory at once, where their tasks are not larger."""


class Projection:
    """The rows of a recipe, once; and, when all were taken, what became of its calls.

    Pure in what it reads: the same log and the same adapter give the same rows, in the same order. An adapter that is
    `by_task` is handed a few tasks at a time, so what is in memory is theirs; every other one is handed the whole
    batch, for its rows may depend on all of it.
    """

    def __init__(self, log: SqliteLog, plugins: Plugins, recipe: Recipe) -> None:
        """Raises what the log, the adapter or its plugin has against it."""
        self.recipe = recipe
        self.adapter: Adapter[Any] = adapter(plugins, recipe.adapter, recipe.options or {})
        _refuse_missing(log, recipe)
        self._dialects = _named(plugins, recipe.dialects)
        self._ask = Queries(log)
        self._slices = _slices(log, recipe.rollouts) if is_by_task(self.adapter) else [recipe.rollouts]
        self._selection, self._failures = Selection.of(recipe.select), Failures.of(recipe.failures)
        self._hash = hashlib.blake2b(b"[", digest_size=32)
        self.rows = 0
        self.kept = 0
        """Calls that ended in a row."""
        self.dropped: Counter[str] = Counter()
        """Reason to number of calls."""
        self.masked: Counter[str] = Counter()
        """How they ended, to number of rollouts that nothing was learnt from."""
        self.zeroed: Counter[str] = Counter()
        """Why, to number of rollouts that got a zero nobody gave."""
        self.unmatched: Counter[str] = Counter()
        """Reason to number of rewards that reached no call."""

    def __iter__(self) -> Iterator[Any]:
        for rollouts in self._slices:
            yield from self._counted(*self._made(rollouts))
        self._hash.update(b"]")

    @property
    def captured(self) -> int:
        """Policy calls that went in."""
        return self.kept + self.dropped.total()

    @property
    def digest(self) -> str:
        """As `batch.formed` has it of the same rows."""
        return f"b2:{self._hash.hexdigest()}"

    def through(self) -> Projection:
        """Itself, when all rows have gone by."""
        for _ in self:
            pass
        return self

    def told(self) -> Mapping[str, Any]:
        """What a batch says of itself, for programs."""
        return {
            "rollouts": len(self.recipe.rollouts),
            "captured": self.captured,
            "kept": self.kept,
            "rows": self.rows,
            **{name: dict(sorted(getattr(self, name).items())) for name in COUNTED},
            "digest": self.digest,
        }

    def _made(self, rollouts: Sequence[str]) -> tuple[Sequence[Trace], Adapted[Any]]:
        traces = self._ask.traces(rollouts, as_of=self.recipe.as_of)
        with reading_by(self._dialects):
            return traces, adapted(traces, self.adapter, selection=self._selection, failures=self._failures)

    def _counted(self, traces: Sequence[Trace], made: Adapted[Any]) -> Iterator[Any]:
        seen = treated(traces, self._failures)
        self.kept += made.kept
        self.dropped.update(one.reason for one in made.dropped)
        self.masked.update(trace.mask for trace in seen if trace.mask is not None)
        self.zeroed.update(self._failures.zeroed(seen))
        self.unmatched.update(one.reason for one in made.unmatched)
        for row in made.rows:
            if self.rows:
                self._hash.update(b",")
            self._hash.update(msgspec.json.encode(row, order="sorted"))
            self.rows += 1
            yield row


def spoken(adapter: Adapter[Any]) -> str:
    """The adapter with what it was told, where that is other than usual: `triplets(credit=rewards(rule='sum'))`."""
    told = []
    options: tuple[Field[Any], ...] = fields(cast("Any", adapter)) if is_dataclass(type(adapter)) else ()
    for option in options:
        value = getattr(adapter, option.name)
        if value != option.default:
            told.append(f"{option.name}={spoken(value) if callable(value) else repr(value)}")
    return f"{adapter.name}({', '.join(told)})"


COUNTED = ("dropped", "masked", "zeroed", "unmatched")
"""What is counted by reason."""


def _named(plugins: Plugins, names: Sequence[str]) -> Sequence[SpanDialect]:
    if not names:
        return DIALECTS
    known = {dialect.NAME: dialect for dialect in plugins.dialects()}
    for name in names:
        if name not in known:
            raise UnknownName("dialect", name, known=known, cure="Is its plugin installed? `agl plugins` tells")
    return [known[name] for name in names]


def _refuse_missing(log: SqliteLog, recipe: Recipe) -> None:
    """A batch names its rollouts for ever; a copy of the log may have been made without them."""
    known = set(there(log, recipe.rollouts, recipe.as_of))
    missing = next((rollout_id for rollout_id in recipe.rollouts if rollout_id not in known), None)
    if missing is None:
        return
    if log.rows("select 1 from events where stream = ? limit 1", (f"rollout/{missing}",)):
        raise ContentErased(f"rollout {missing}")
    raise NotReplayable(
        recipe.batch_id or "the batch",
        why=f"its rollout {missing} is not in this log",
        cure="Use the log that it was formed in, or a copy of all of it",
    )


def _slices(log: SqliteLog, rollouts: Sequence[str]) -> list[Sequence[str]]:
    """Cut where no task is on both sides, so that one slice after the other is the batch, in its order."""
    sql = "select rollout_id, task_id from rollouts where rollout_id in (select value from json_each(?))"
    tasks = dict(log.rows(sql, (msgspec.json.encode(list(rollouts)).decode(),)))
    last = {tasks.get(rollout_id): place for place, rollout_id in enumerate(rollouts)}
    found: list[Sequence[str]] = []
    start = reaching = 0
    for place, rollout_id in enumerate(rollouts):
        reaching = max(reaching, last[tasks.get(rollout_id)])
        if reaching == place and (place + 1 - start >= _TOGETHER or place + 1 == len(rollouts)):
            found.append(rollouts[start : place + 1])
            start = place + 1
    return found
