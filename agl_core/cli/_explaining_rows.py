"""A batch explained, for programs: which calls are in which row, what each earned, and the sum it comes from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from agl_core.cli._explaining_calls import beside
from agl_core.cli._explaining_chains import chain
from agl_core.cli._explaining_reasons import BEGAN, in_words
from agl_core.cli._explaining_rewards import reward_facts

if TYPE_CHECKING:
    from agl_core.adapter import Credit, Dropped, Trace
    from agl_core.cli._explaining_recipes import Made
    from agl_core.log import SqliteLog
    from agl_core.replay.recipes import Recipe

__all__ = ["batch", "explained"]


def explained(log: SqliteLog, made: Made, *, rollouts: Collection[str], call_id: str | None) -> dict[str, Any]:
    """The batch, and in it those rollouts; of a call that is named, its own row and credit alone."""
    rows: defaultdict[str | None, list[tuple[int, Any]]] = defaultdict(list)
    for number, row in enumerate(made.adapted.rows, start=1):
        rows[getattr(row, "rollout_id", None)].append((number, row))
    dropped: defaultdict[str, list[Dropped]] = defaultdict(list)
    for one in made.adapted.dropped:
        dropped[one.rollout_id].append(one)
    earned = _Earned(made.credits)
    return {
        **batch(made.recipe),
        "by": made.by,
        "agrees": made.agrees,
        "rule": made.rule,
        "rewards": list(made.names),
        "size": {
            "rollouts": len(made.traces),
            "captured": made.adapted.captured,
            "kept": made.adapted.kept,
            "rows": len(made.adapted.rows),
        },
        "explained": [
            _rollout(log, made, trace, earned=earned, rows=rows[id_], dropped=dropped[id_], call_id=call_id)
            for id_, trace in made.traces.items()
            if id_ in rollouts
        ],
    }


def batch(recipe: Recipe) -> dict[str, Any]:
    """How it was made."""
    return {
        "batch_id": recipe.batch_id,
        "run_id": recipe.run_id,
        "position": recipe.position,
        "as_of": recipe.as_of,
        "adapter": recipe.adapter,
        "options": recipe.options,
        "select": recipe.select,
        "failures": recipe.failures,
    }


def _rollout(
    log: SqliteLog,
    made: Made,
    trace: Trace,
    *,
    earned: _Earned,
    rows: Sequence[tuple[int, Any]],
    dropped: Sequence[Dropped],
    call_id: str | None,
) -> dict[str, Any]:
    told = [_row(earned, number, row, call_id) for number, row in rows if _is_of(call_id, _calls(row))]
    lost = [_dropped(earned, one) for one in dropped if _is_of(call_id, [one.call_id])]
    kept = [earned(one) for one in _unnamed(trace, rows, dropped) if _is_of(call_id, [one])]
    calls = [one["call_id"] for them in (*(row["calls"] for row in told), lost, kept) for one in them]
    return {
        "rollout_id": trace.rollout_id,
        "attempt_id": trace.attempt_id,
        "task_id": trace.task_id,
        "group": trace.group,
        "repeat": trace.repeat,
        "status": trace.status,
        "exit_status": trace.exit_status,
        "mask": trace.mask,
        "treated": trace.treated,
        "agents": {call.call_id: call.agent for call in trace.calls if call.agent and _is_of(call_id, [call.call_id])},
        "rows": told,
        "dropped": lost,
        "kept": kept,
        "chain": [earned(one) for one in chain(made.credits, calls)],
        "beside": [one for one in beside(log, made, trace) if _is_of(call_id, one["calls"])],
        "rewards": reward_facts(log, made, trace.rollout_id),
    }


def _unnamed(trace: Trace, rows: Sequence[tuple[int, Any]], dropped: Sequence[Dropped]) -> Iterator[str]:
    """Calls that are in rows, of which no row says so."""
    told = {id_ for _, row in rows for id_ in _calls(row)} | {one.call_id for one in dropped}
    for call in trace.calls:
        if call.role == "policy" and call.call_id not in told:
            yield call.call_id


@dataclass(frozen=True, slots=True)
class _Earned:
    """Of a call, what it earned and of which terms. One that many calls have is told once, and they share it."""

    credits: Mapping[str, Credit]
    terms: dict[int, dict[str, Any]] = field(default_factory=dict)
    """By the identity of the term."""

    def __call__(self, call_id: str) -> dict[str, Any]:
        if call_id not in self.credits:
            return {"call_id": call_id, "credit": None, "rule": None, "terms": []}
        credit = self.credits[call_id]
        self.terms.update({id(term): asdict(term) for term in credit.terms if id(term) not in self.terms})
        terms = [self.terms[id(term)] for term in credit.terms]
        return {"call_id": call_id, "credit": credit.value, "rule": credit.rule, "terms": terms}


def _is_of(call_id: str | None, calls: Collection[str]) -> bool:
    return call_id is None or call_id in calls


def _calls(row: Any) -> Sequence[str]:
    """The calls that a row says it is made of: several, one, or it does not say."""
    one = getattr(row, "call_id", None)
    calls: Sequence[str] = getattr(row, "call_ids", () if one is None else (one,))
    return calls


def _row(earned: _Earned, number: int, row: Any, call_id: str | None) -> dict[str, Any]:
    calls = _calls(row)
    spans = list(_spans(row)) if hasattr(row, "token_ids") else [None] * len(calls)
    in_row = getattr(row, "credits", None)
    return {
        "row": number,
        **(_tokens(row) if hasattr(row, "token_ids") else {}),
        "calls": [
            {
                **earned(id_),
                **({} if span is None else {"tokens": list(span), "policy_version": row.policy_versions[place]}),
                **({} if in_row is None else {"in_row": in_row[place]}),
            }
            for place, (id_, span) in enumerate(zip(calls, spans, strict=True))
            if call_id in {None, id_}
        ],
    }


def _tokens(row: Any) -> dict[str, Any]:
    sampled = sum(row.mask)
    return {
        "length": len(row.token_ids),
        "prompt_length": row.prompt_length,
        "sampled": sampled,
        "put_between": len(row.mask) - sampled,
        "began": row.began,
        "means": BEGAN.get(row.began),
        "differs_at": row.differs_at,
        "reward": row.reward,
        "temperature": row.temperature,
        "weight_tokens": row.rollout_tokens,
    }


def _spans(row: Any) -> Iterator[tuple[int, int]]:
    """For each call, the first of the tokens it sampled, and the one after the last."""
    ones = (index for index, bit in enumerate(row.mask, start=row.prompt_length) if bit)
    for count in row.sampled:
        last = next(islice(ones, count - 1, None))
        yield last - count + 1, last + 1


def _dropped(earned: _Earned, one: Dropped) -> dict[str, Any]:
    return {**earned(one.call_id), "reason": one.reason, "means": in_words(one.reason)}
