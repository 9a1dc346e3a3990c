"""An algorithm is a program over a `Run`; run again, it goes on where its log ends."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from agl_core.errors import NotOffline
from agl_core.run import Budget, Plan, Run

__all__ = ["Algorithm", "FastAlgorithm", "Planning", "is_durable", "not_offline", "plan_of"]


@runtime_checkable
class Algorithm(Protocol):
    """Improves an agent through the run it is handed, and through nothing else.

    Hyper-parameters sit in one frozen dataclass, `config`; its fields become the options of `agl train`. A class
    is made as `Algorithm(config)` or with the fields as keywords. One that learns names what it cannot do without,
    `needs = ("calls", "rewards", "token_ids", "groups", "exploration")` or some of these: the run's first rollout is
    then looked at before the others begin. One that can tell ahead what it will do has a method `plan`: see `plan_of`.
    One with `needs_tasks = False` has something to do without training tasks. One whose class says
    `learns_from_logs = True` learns from the rollouts of a log, which its `config.from_log` names, and is then such a
    one; one that never can may say why in `not_from_logs`.
    """

    name: str

    async def run(self, run: Run) -> None:
        """The whole algorithm. What it needs from outside goes through `run`, or resume would do it twice."""
        ...


@runtime_checkable
class Planning(Protocol):
    """An algorithm that can tell ahead what it will do."""

    def plan(self, tasks: Mapping[str, int], budget: Budget) -> Plan:
        """What it does with so many tasks of `train`, `val` and `test`, within the budget; it asks nobody."""
        ...


class FastAlgorithm:
    """Marks algorithms that end soon: `Trainer.dev` runs no others."""


def is_durable(algorithm: Any) -> bool:
    """Whether it works through a `Run`, and can be resumed."""
    if hasattr(algorithm, "durable"):
        return bool(algorithm.durable)
    run = getattr(algorithm, "run", None)
    return callable(run) and "run" in inspect.signature(run).parameters


def plan_of(algorithm: Any, tasks: Mapping[str, int], budget: Budget) -> Plan | None:
    """What it will do with so many tasks of each split; None of one that does not say."""
    return algorithm.plan(tasks, budget) if isinstance(algorithm, Planning) else None


def not_offline(name: str, algorithm: Any, known: Mapping[str, Any]) -> NotOffline:
    """Why that algorithm, or that class, does not learn without rollouts, and which of those that are known do."""
    why = "it learns from rollouts that it asks for"
    if getattr(algorithm, "learns_from_logs", False):
        why = "it was told of no log"
    why = getattr(algorithm, "not_from_logs", why)
    able = sorted(one for one, kind in known.items() if getattr(kind, "learns_from_logs", False))
    return NotOffline(name, why=why, others=able)
