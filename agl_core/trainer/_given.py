"""What a trainer is given, made sure of before anything starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal, get_args

from agl_core.algorithm import not_offline
from agl_core.datasets import Source, is_share, repeats, tasks_for
from agl_core.errors import BadValue, BudgetTooSmall
from agl_core.events import Mode, Role, RunStarted
from agl_core.ids import canonical
from agl_core.recorder import Recorder
from agl_core.resources import NamedResources, load
from agl_core.run import Budget, Plan

__all__ = [
    "foreign",
    "fraction",
    "given_tasks",
    "known_roles",
    "known_tracer",
    "refuse_online",
    "refuse_too_small",
    "refuse_unheard",
    "sampling_by_mode",
    "sizes",
]

_logger = logging.getLogger(__name__)
_SHOWN = 80


def given_tasks(train: Source | None, val: Source | None, test: Source | None) -> list[tuple[Any, ...]]:
    """The tasks of the three splits, each plain JSON: what is not would be lost on the way to the log."""
    modes: tuple[tuple[Literal["train", "val", "test"], Source], ...] = (("train", train), ("val", val), ("test", test))
    found = [tasks_for(mode, source) for mode, source in modes]
    for (mode, _), tasks in zip(modes, found, strict=True):
        if repeated := repeats(tasks):
            shown = next(iter(repeated))[:_SHOWN]
            _logger.warning("%s: %d task(s) come more than once (one is %s)", mode, len(repeated), shown)
    return found


def sizes(train: Source | None, val: Source | None, test: Source | None) -> dict[str, int]:
    """How many tasks each split has."""
    return {
        "train": len(tasks_for("train", train)),
        "val": len(tasks_for("val", val)),
        "test": len(tasks_for("test", test)),
    }


def refuse_too_small(budget: Budget, plan: Plan | None) -> None:
    """Raise for a budget of which, as the algorithm says, nothing useful comes."""
    if budget and plan is not None and plan.too_small:
        raise BudgetTooSmall(budget.to_json(), why=plan.too_small)


def refuse_online(algorithm: Any, sizes: Mapping[str, int], known: Mapping[str, Any]) -> None:
    """Raise for what asks for rollouts, in a run that is to hand out none."""
    if getattr(algorithm, "needs_tasks", True):
        raise not_offline(getattr(algorithm, "name", type(algorithm).__name__), algorithm, known)
    if wanted := {split: count for split, count in sizes.items() if count}:
        why = "nobody would do these tasks: leave them out, or let rollouts be handed out"
        raise BadValue("no_rollouts", wanted, why=why)


def known_roles(given: Mapping[str, Role]) -> dict[str, Role]:
    """The roles of models, each one that a call can have."""
    for name, role in given.items():
        if role not in get_args(Role):
            raise BadValue(f"roles[{name!r}]", role, why=f"a role is one of {', '.join(get_args(Role))}")
    return dict(given)


def known_tracer(given: object) -> Recorder | None:
    """What records instead of a recorder of the run's own."""
    if given is not None and not isinstance(given, Recorder):
        raise BadValue("tracer", given, why="it is an agl_core.recorder.Recorder; plugins bring their own tracers")
    return given


def fraction(name: str, given: float | None) -> float | None:
    """A share of a whole; None where none is given."""
    if given is not None and not is_share(given):
        raise BadValue(name, given, why="it is a share, from 0 to 1")
    return given


def refuse_unheard(*, select: str, failures: Mapping[str, str], share: float | None) -> None:
    """Raise for what an algorithm that works on the store directly would not keep to."""
    given = {"select": select or None, "failures": dict(failures) or None, "max_failed_fraction": share}
    for name, value in given.items():
        if value is not None:
            raise BadValue(name, value, why="this algorithm asks the store, and would not keep to it")


def sampling_by_mode(given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What each mode samples with, plain JSON too."""
    for mode, fields in given.items():
        if mode not in get_args(Mode):
            raise BadValue(f"sampling[{mode!r}]", fields, why=f"a mode is one of {', '.join(get_args(Mode))}")
        if not isinstance(fields, Mapping) or "model" in fields or "messages" in fields:
            raise BadValue(f"sampling[{mode!r}]", fields, why='it is a mapping such as {"temperature": 0}')
        canonical(dict(fields))
    return {mode: dict(fields) for mode, fields in given.items()}


def foreign(started: RunStarted, given: NamedResources) -> NamedResources:
    """The models of others that a run began with; their keys are in `given`, or in the environment."""
    return {**{name: load(data) for name, data in started.config.foreign.items()}, **given}
