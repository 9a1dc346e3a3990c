"""Budgets and prices as they are typed, and a plan as it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._tables import print_json, print_table
from agl_core.errors import BadValue, BudgetTooSmall

if TYPE_CHECKING:
    from agl_core.run import Budget, Plan

__all__ = ["named_budget", "named_prices", "show_plan", "tell_plan"]


def named_budget(given: Sequence[str]) -> dict[str, float] | None:
    """`calls=500`, `tokens=1000000`, `usd=2.5`; one or more, None where there is none."""
    found: dict[str, float] = {}
    for text in given:
        name, equals, value = text.partition("=")
        try:
            found[name] = float(value) if name == "usd" else int(value)
        except ValueError:
            equals = ""
        if not equals or name not in {"calls", "tokens", "usd"}:
            raise BadValue("--budget", text, why="write it as calls=500, tokens=1000000 or usd=2.5")
    return found or None


def named_prices(given: Sequence[str]) -> dict[str, tuple[float, float]] | None:
    """`NAME=PROMPT/ANSWER`, any number; an engine URL stands for the name that follows its #."""
    found: dict[str, tuple[float, float]] = {}
    for text in given:
        name, _, price = text.rpartition("=")
        prompt, slash, completion = price.partition("/")
        try:
            found[name.rpartition("#")[2]] = (float(prompt), float(completion))
        except ValueError:
            slash = ""
        if not slash or not name:
            why = "write it as NAME=0.15/0.60, USD for a million tokens of prompts, and of answers"
            raise BadValue("--price", text, why=why)
    return found or None


def show_plan(plan: Plan | None, budget: Budget, *, algorithm: str, per_rollout: int, as_json: bool) -> None:
    """All of it, on stdout; raises `BudgetTooSmall` for one of which nothing useful comes."""
    if as_json:
        told = plan.to_json(per_rollout) if plan else None
        print_json({"plan": told, "budget": budget.to_json()})
    elif plan is None:
        click.echo(f"{algorithm} does not say ahead what it will do")
    else:
        lines = [*((line.what, line.rollouts, line.questions) for line in plan.lines), ("all", *_all(plan))]
        columns = ("plan", "rollouts", "questions")
        print_table(columns, [(what, *map(_range, counted)) for what, *counted in lines])
        click.echo(f"\n{_sum(plan, budget, per_rollout)}")
    if plan and plan.too_small and budget:
        raise BudgetTooSmall(budget.to_json(), why=plan.too_small)


def tell_plan(plan: Plan, budget: Budget, *, per_rollout: int) -> None:
    """What it comes to, on stderr, before a run begins."""
    rollouts, questions = map(_range, _all(plan))
    click.echo(f"plan: {rollouts} rollouts, {questions} questions; {_sum(plan, budget, per_rollout)}", err=True)


def _all(plan: Plan) -> tuple[tuple[int, int], tuple[int, int]]:
    return plan.rollouts, plan.questions


def _sum(plan: Plan, budget: Budget, per_rollout: int) -> str:
    least, most = plan.calls(per_rollout)
    limits: Mapping[str, Any] = budget.to_json()
    told = f"budget {', '.join(f'{name}={limit:.12g}' for name, limit in limits.items())}" if limits else "no budget"
    wide = ""
    if budget.calls is not None:
        wide = ": enough" if most <= budget.calls else ": it may end early" if least <= budget.calls else ": too small"
    makes = "one call" if per_rollout == 1 else f"{per_rollout} calls"
    return f"{_range((least, most))} calls if each rollout makes {makes}; {told}{wide}"


def _range(counted: tuple[int, int]) -> str:
    least, most = counted
    return f"{least}" if least == most else f"{least} to {most}"
