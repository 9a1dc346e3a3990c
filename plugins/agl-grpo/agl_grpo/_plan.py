"""What a run will hand out, told before anything is spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agl_core.run import Plan, Planned

if TYPE_CHECKING:
    from agl_core.run import Budget
    from agl_grpo._config import GrpoConfig

__all__ = ["plan"]


def plan(config: GrpoConfig, tasks: Mapping[str, int], budget: Budget) -> Plan:
    """All steps, unless it is asked to stop or its budget ends it before: one step, and the examination, at least."""
    a_step = min(config.tasks_per_step, tasks["train"]) * config.group_size
    validations = config.steps // config.eval_every if config.eval_every else 0
    at_first = tasks["val"] if config.eval_every == 1 else 0
    last = 2 * tasks["test"]
    least = a_step + at_first + last
    small = budget.calls is not None and budget.calls < least
    return Plan(
        lines=(
            Planned(what=f"train: {config.steps} steps of {a_step}", rollouts=(a_step, config.steps * a_step)),
            Planned(what=f"val: {validations} times", rollouts=(at_first, validations * tasks["val"])),
            Planned.exactly("test: the first policy and the last", rollouts=last),
        ),
        too_small=f"one step and the examination are {least} rollouts" if small else None,
    )
