"""A batch, made again with all that explains it: its traces, its credits, and what they are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from agl_core.adapter import Adapted, Adapter, Credit, Trace
    from agl_core.log import SqliteLog
    from agl_core.plugins import Plugins
    from agl_core.replay.recipes import Recipe

__all__ = ["Made", "made"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A batch, made again."""

    recipe: Recipe
    by: str
    """The adapter with what it was told, where that is other than usual."""
    traces: Mapping[str, Trace]
    """By rollout, as the run's failure policy has them."""
    adapted: Adapted[Any]
    credits: Mapping[str, Credit]
    """By call, also of calls that became no row for another reason."""
    rewarded: Mapping[str, int]
    """By reward, how many calls have credit of it, by their own terms or by a share of what another earned."""
    names: tuple[str, ...]
    """Of the rewards that were asked for."""
    rule: str | None
    """Null of an adapter that does not say what each call earned."""
    digest: str | None
    """Of these rows; null where there is none to compare it with."""

    @property
    def agrees(self) -> bool | None:
        """Whether these are the rows that were recorded; None where there is nothing to compare."""
        return None if self.recipe.digest is None else self.recipe.digest == self.digest


def made(log: SqliteLog, plugins: Plugins, recipe: Recipe) -> Made:
    """The batch of that recipe. Raises what the log, the adapter or its plugin has against it."""
    from agl_core.cli._explaining_chains import counted
    from agl_core.ids import content_id
    from agl_core.replay.projection import spoken
    from agl_core.run import Failures, Selection, adapted, treated
    from agl_core.run._adapters import adapter
    from agl_core.store import Queries

    maker = adapter(plugins, recipe.adapter, recipe.options or {})
    selection, failures = Selection.of(recipe.select), Failures.of(recipe.failures)
    traces = Queries(log).traces(recipe.rollouts, as_of=recipe.as_of)
    batch = adapted(traces, maker, selection=selection, failures=failures)
    seen = treated(traces, failures)
    earned, names, rule = _credits(maker, batch, selection.parted(seen)[0])
    return Made(
        recipe=recipe,
        by=spoken(maker),
        traces={trace.rollout_id: trace for trace in seen},
        adapted=batch,
        credits=earned,
        rewarded=counted(earned),
        names=names,
        rule=rule,
        digest=None if recipe.digest is None else content_id(msgspec.json.encode(batch.rows, order="sorted")),
    )


def _credits(
    maker: Adapter[Any], batch: Adapted[Any], seen: Sequence[Trace]
) -> tuple[Mapping[str, Credit], tuple[str, ...], str | None]:
    """By call; the names of the rewards they are made of; the rule that made them, where the adapter knows one."""
    from agl_core.adapter import Credit

    judge = getattr(maker, "credit", None) or maker
    rows = batch.rows if judge is maker else judge(seen).rows
    found = {row.call_id: row for row in rows if isinstance(row, Credit)}
    asked = getattr(judge, "reward", None)
    names = tuple(asked) if isinstance(asked, Mapping) else (asked if isinstance(asked, str) else "primary",)
    if found or judge is not maker or hasattr(maker, "rule"):
        return found, names, getattr(judge, "rule", judge.name)
    if not hasattr(maker, "credit"):
        return {}, names, None if batch.rows else maker.name
    # It could be told a rule, and was not: every call of a rollout has its final reward.
    return {credit.call_id: credit for trace in seen for credit in _final(trace, names[0])}, names, "final"


def _final(trace: Trace, name: str) -> Iterator[Credit]:
    from agl_core.adapter import Credit, Term

    last = trace.final(name)
    if last is None or trace.mask:
        return
    term = Term(
        reward_id=last.id, rollout_id=trace.rollout_id, name=name, judge=last.given.judge, value=last.given.value,
        weight=1.0, why="the final reward" if last.id else "a zero nobody gave: so the run counts what ended so",
    )  # fmt: skip
    for call in trace.calls:
        if call.role == "policy":
            yield Credit(call_id=call.call_id, rollout_id=trace.rollout_id, rule="final", terms=(term,))
