"""How a batch was made, or may be: of which rollouts, by which adapter, of the log as it stood when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import msgspec

from agl_core.errors import BadValue

if TYPE_CHECKING:
    from agl_core.adapter import Adapted, Adapter, Credit, Trace
    from agl_core.events import RunConfig
    from agl_core.log import SqliteLog
    from agl_core.plugins import Plugins

__all__ = ["Made", "Recipe", "made", "otherwise", "recorded", "supposed"]

RULES = "rewards"
"""Registry name of the adapter whose rules `--credit` names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that the rows of a batch depend on."""

    rollouts: tuple[str, ...]
    adapter: str
    options: Mapping[str, Any] | None = None
    """Null of a batch that does not say: of an adapter without a name, or of a log before they were recorded."""
    as_of: int
    select: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    run_id: str | None = None
    batch_id: str | None = None
    """Null of a batch that nobody formed."""
    position: int | None = None
    digest: str | None = None
    """Of the rows as they were recorded; null where there is nothing to compare."""


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


def recorded(log: SqliteLog, *, batch_id: str | None = None, rollout_id: str | None = None) -> list[Recipe]:
    """That of the batch, or of each batch that the rollout is a member of, in the order they were formed."""
    from agl_core.events import BatchFormed

    sql = "select position from batches where ? is null or batch_id = ? order by position"
    positions = [position for (position,) in log.rows(sql, (batch_id, batch_id))]
    found = []
    for position, record in sorted(log.records(positions).items()):
        event = record.event
        if isinstance(event, BatchFormed) and (rollout_id is None or rollout_id in event.rollouts):
            found.append(
                Recipe(
                    rollouts=event.rollouts,
                    adapter=event.adapter,
                    options=event.options,
                    as_of=event.as_of if event.as_of is not None else position - 1,
                    select=_config(log, event.run_id).select,
                    failures=event.failures,
                    run_id=event.run_id,
                    batch_id=event.batch_id,
                    position=position,
                    digest=event.digest,
                )
            )
    return found


def supposed(log: SqliteLog, rollout_id: str) -> Recipe:
    """The rollout and the others that tried its task beside it, with credit by `final`, of the log as it stands."""
    run_id, group, task_id = log.rows("select run_id, grp, task_id from rollouts where rollout_id = ?", (rollout_id,))[
        0
    ]
    sql = (
        "select rollout_id from rollouts where run_id is ? and grp is ? and task_id = ? "
        "and (hidden = 0 or rollout_id = ?) order by position"
    )
    config = _config(log, run_id)
    return Recipe(
        rollouts=tuple(id_ for (id_,) in log.rows(sql, (run_id, group, task_id, rollout_id))),
        adapter=RULES,
        options={},
        as_of=log.head(),
        select=config.select,
        failures=config.failures,
        run_id=run_id,
    )


def otherwise(
    log: SqliteLog, base: Recipe, *, adapter: str | None, credit: str | None, sets: Iterable[str], as_of: int | None
) -> Recipe:
    """The same rollouts by another adapter, another rule, or of the log as it stood at another position."""
    as_of = as_of or base.as_of
    name, options = base.adapter, dict(base.options or {})
    if adapter is not None:
        name, options = adapter, {}
    told = dict(_assignment(text) for text in sets)
    rule = {key.removeprefix("credit."): value for key, value in told.items() if key.startswith("credit.")}
    options |= {key: value for key, value in told.items() if not key.startswith("credit.")}
    if name == RULES:
        options = {**({"rule": credit} if credit else options), **rule}
    elif credit or rule:
        before = options.get("credit") if credit is None else None
        options["credit"] = {"name": RULES, **(before or {}), **({"rule": credit} if credit else {}), **rule}
    return replace(
        base, rollouts=_there(log, base.rollouts, as_of), adapter=name, options=options, as_of=as_of, batch_id=None,
        position=None, digest=None,
    )  # fmt: skip


def made(log: SqliteLog, plugins: Plugins, recipe: Recipe) -> Made:
    """The batch of that recipe. Raises what the log, the adapter or its plugin has against it."""
    from agl_core.cli._explaining_chains import counted
    from agl_core.ids import content_id
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
        by=_spoken(maker),
        traces={trace.rollout_id: trace for trace in seen},
        adapted=batch,
        credits=earned,
        rewarded=counted(earned),
        names=names,
        rule=rule,
        digest=None if recipe.digest is None else content_id(msgspec.json.encode(batch.rows, order="sorted")),
    )


def _spoken(maker: Adapter[Any]) -> str:
    """`triplets(credit=rewards(rule='discounted'))`."""
    told = []
    options: tuple[Field[Any], ...] = fields(cast("Any", maker)) if is_dataclass(type(maker)) else ()
    for option in options:
        value = getattr(maker, option.name)
        if value != option.default:
            told.append(f"{option.name}={_spoken(value) if callable(value) else repr(value)}")
    return f"{maker.name}({', '.join(told)})"


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


def _config(log: SqliteLog, run_id: str | None) -> RunConfig:
    from agl_core.events import RunConfig, RunStarted

    for (position,) in log.rows("select position from runs where run_id = ?", (run_id,)):
        event = log.records([position])[position].event
        if isinstance(event, RunStarted):
            return event.config
    return RunConfig()


def _there(log: SqliteLog, rollouts: Sequence[str], as_of: int) -> tuple[str, ...]:
    """Those that were enqueued by then."""
    sql = "select rollout_id from rollouts where position <= ? and rollout_id in (select value from json_each(?))"
    known = {id_ for (id_,) in log.rows(sql, (as_of, msgspec.json.encode(list(rollouts)).decode()))}
    return tuple(id_ for id_ in rollouts if id_ in known)


def _assignment(text: str) -> tuple[str, Any]:
    """A name and a value: JSON where it is, else the text itself."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise BadValue("--set", text, why="write it as key=value")
    try:
        return key.strip(), msgspec.json.decode(value)
    except msgspec.DecodeError:
        return key.strip(), value.strip()
