"""What a search will take, told before it begins: as little as when no edit is any good, as much as when all are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agl_core.run import Plan, Planned

if TYPE_CHECKING:
    from agl_apo._config import ApoConfig
    from agl_apo._pareto_config import ParetoConfig
    from agl_core.run import Budget

__all__ = ["FEWEST_PROPOSALS", "apo_plan", "pareto_plan"]

FEWEST_PROPOSALS = 3
"""Fewer than so many tries at a better prompt are no search: what they find, or do not, is chance."""


def apo_plan(config: ApoConfig, tasks: Mapping[str, int], budget: Budget) -> Plan:
    """Of the beam search."""
    train, val, test, repeat = tasks.get("train", 0), tasks.get("val", 0), tasks.get("test", 0), config.repeat
    branches, batch = config.beam_width * config.branch_factor, min(config.val_batch_size, val)
    first = val if config.run_initial_validation else batch
    lines = [Planned.exactly("the base prompt on the validation split", rollouts=repeat * first)]
    for step in range(1, config.beam_rounds + 1):
        parents = min(config.beam_width, 1 + (step - 1) * branches)
        criticised = min(branches * config.gradient_batch_size, parents * train)
        fresh = min(config.gradient_batch_size, train) if step == 1 else 0
        lines += [
            Planned(what=f"round {step}: critiques, and the runs that they are about",
                    rollouts=(repeat * fresh, repeat * criticised), questions=(branches, config.tries * branches)),
            Planned(what=f"round {step}: edits", questions=(0, config.tries * branches)),
            Planned(what=f"round {step}: candidates on the validation split",
                    rollouts=(0, repeat * ((parents + branches) * batch + max(0, val - batch)))),
        ]  # fmt: skip
    lines.append(_examination(test, repeat))
    one = (config.gradient_batch_size * repeat + 2 + batch * repeat) if branches else 0
    return Plan(lines=tuple(lines), too_small=_too_small(lines, budget, branches * config.beam_rounds, one))


def pareto_plan(config: ParetoConfig, tasks: Mapping[str, int], budget: Budget) -> Plan:
    """Of the Pareto search."""
    train, val, test, repeat = tasks.get("train", 0), tasks.get("val", 0), tasks.get("test", 0), config.repeat
    width, batch = config.parallel, min(config.gradient_batch_size, train)
    children = width + config.merge  # where one prompt is improved, nothing is merged
    lines = [Planned.exactly("the base prompt on the validation split", rollouts=repeat * val)]
    for step in range(1, config.rounds + 1):
        fresh = batch if step == 1 else 0
        lines += [
            Planned(what=f"round {step}: critiques, and the runs that they are about",
                    rollouts=(repeat * fresh, repeat * width * batch), questions=(width, config.tries * width)),
            Planned(what=f"round {step}: edits", questions=(0, config.tries * width)),
            Planned(what=f"round {step}: children on their parents' tasks",
                    rollouts=(0, repeat * (width + 2 * config.merge) * batch)),
            Planned(what=f"round {step}: those that gained, on the validation split",
                    rollouts=(0, repeat * children * val)),
        ]  # fmt: skip
    lines.append(_examination(test, repeat))
    return Plan(lines=tuple(lines), too_small=_too_small(lines, budget, width * config.rounds, 2 * batch * repeat + 2))


def _examination(test: int, repeat: int) -> Planned:
    return Planned(what="base and best on the sealed test split", rollouts=(0, 2 * repeat * test))


def _too_small(lines: list[Planned], budget: Budget, most: int, one: int) -> str | None:
    """Why the calls of the budget are no search; `one` is what a proposal takes at least, each rollout a call."""
    if budget.calls is None or not most:
        return None
    fixed = lines[0].rollouts[0] + lines[-1].rollouts[1]
    affordable = max(0, (budget.calls - fixed) // one)
    wanted = min(FEWEST_PROPOSALS, most)
    if affordable >= wanted:
        return None
    return (
        f"{budget.calls} calls pay for the first validation and the examination ({fixed}) and then for {affordable} "
        f"proposal(s) of at least {one} calls each: {wanted} need {fixed + wanted * one}"
    )
