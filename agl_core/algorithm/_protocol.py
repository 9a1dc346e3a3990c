"""An algorithm is a program over a `Run`; run again, it goes on where its log ends."""

from __future__ import annotations

import inspect
from typing import Any, Protocol, runtime_checkable

from agl_core.run import Run

__all__ = ["Algorithm", "FastAlgorithm", "is_durable"]


@runtime_checkable
class Algorithm(Protocol):
    """Improves an agent through the run it is handed, and through nothing else.

    Hyper-parameters sit in one frozen dataclass, `config`; its fields become the options of `agl train`. A class
    is made as `Algorithm(config)` or with the fields as keywords. One that learns names what it cannot do without,
    `needs = ("calls", "rewards", "token_ids", "groups", "exploration")` or some of these: the run's first rollout is
    then looked at before the others begin.
    """

    name: str

    async def run(self, run: Run) -> None:
        """The whole algorithm. What it needs from outside goes through `run`, or resume would do it twice."""
        ...


class FastAlgorithm:
    """Marks algorithms that end soon: `Trainer.dev` runs no others."""


def is_durable(algorithm: Any) -> bool:
    """Whether it works through a `Run`, and can be resumed."""
    if hasattr(algorithm, "durable"):
        return bool(algorithm.durable)
    run = getattr(algorithm, "run", None)
    return callable(run) and "run" in inspect.signature(run).parameters
