"""Runs: an algorithm at work, movement by movement."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from agl_core.errors import BadValue
from agl_core.events._base import Event, Pooled, event
from agl_core.events.call import Role

__all__ = [
    "BatchFormed",
    "Component",
    "MetricsLogged",
    "OutcomesRead",
    "RunConfig",
    "RunFailed",
    "RunFinished",
    "RunResumed",
    "RunStarted",
    "RunStopAsked",
    "StepRecorded",
    "TestOpened",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """How to find an agent or an algorithm again."""

    name: str
    """A registry name, or `module:qualified.name`."""
    version: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    importable: bool = True
    """False when it lived in a notebook or a local scope; then `why` says so."""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """What the run was told beside its algorithm."""

    initial_resources: str | None = None
    """Id of the bundle it started from."""
    max_rollouts: int | None = None
    rollout: Mapping[str, Any] = field(default_factory=dict)
    """Default `RolloutConfig` of its rollouts."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    """Name of a model, or of an LLM among the resources, to what its calls are; a policy's, where it has none."""
    sampling: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Mode to the sampling that its calls get, whatever the agent asks for."""
    foreign: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Resource name to the LLM that others serve, without its key."""
    select: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Column of a call to the values of which it has one, where it may be learnt from; all calls, where none is."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """What becomes of rollouts by how they end, where it is other than usual."""
    max_failed_fraction: float = 1.0
    """The run fails when a larger share of the rollouts it asks for at once is masked, those called off apart."""
    judges: Mapping[str, Component] = field(default_factory=dict)
    """Name of a reward to who gives it, when a rollout has come to its end."""
    budget: Mapping[str, float] = field(default_factory=dict)
    """What all its model calls may come to, in `calls`, `tokens` and `usd`; any amount of what is not named."""
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Name of a model to USD for a million tokens of prompts, and of answers."""
    reactions: Mapping[str, Component] = field(default_factory=dict)
    """Name to what follows the run, and decides by what it hears."""
    no_rollouts: bool = False
    """Whether it was to hand out none."""


@event("run.started", schema=1)
class RunStarted(Event):
    """An algorithm set out to improve an agent."""

    run_id: str
    agent: Component
    algorithm: Component
    models: Mapping[str, str] = field(default_factory=dict)
    """Policy name to engine URL."""
    seed: int = 0
    deterministic: bool = False
    resumable: bool = True
    n_runners: int = 1
    config: RunConfig = RunConfig()
    train: Pooled[tuple[Any, ...]] = ()
    val: Pooled[tuple[Any, ...]] = ()
    test: Pooled[tuple[Any, ...]] = ()


@event("run.resumed", schema=1)
class RunResumed(Event):
    """A process took the run up again where its log ended."""

    run_id: str
    after: int
    """Position the log had then."""
    budget: Mapping[str, float] = field(default_factory=dict)
    """That holds from then on; of logs before this, that with which the run began."""
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """That hold from then on, and for all that was spent before."""


@event("run.stop_asked", schema=1)
class RunStopAsked(Event):
    """Somebody wants the run to come to its end in good order: a person, or a reaction to what it logged."""

    run_id: str
    why: str
    by: str = ""
    """Who asked."""


@event("outcomes.read", schema=1)
class OutcomesRead(Event):
    """A run was told what came of its rollouts; when it is resumed, it is told the same."""

    run_id: str
    as_of: int
    """Position up to which the log was read: a reward that came later is not in it."""
    groups: tuple[int, ...] | None = None
    """Of a flight, the numbers of the groups that had landed first, in the order they were launched."""


@event("run.finished", schema=1)
class RunFinished(Event):
    """The algorithm returned."""

    run_id: str
    result: Mapping[str, Any] = field(default_factory=dict)


@event("run.failed", schema=1)
class RunFailed(Event):
    """The algorithm raised; the run may be resumed."""

    run_id: str
    code: str
    why: str


@event("test.opened", schema=1)
class TestOpened(Event):
    """The sealed test split was unsealed; it happens once."""

    __test__: ClassVar[bool] = False  # pytest takes classes of that name for its own

    run_id: str
    tasks: int


@event("step.recorded", schema=1)
class StepRecorded(Event):
    """An effect of the algorithm was carried out; on replay its result is read, not made again."""

    run_id: str
    label: str
    digest: str
    """Hash of the function's name and its arguments."""
    result: Pooled[Any] = None
    seconds: float = 0.0
    function: str = ""
    """Its name, `module:qualified.name`; empty of what is no effect, and of logs before this."""
    arguments: Pooled[tuple[Any, ...]] = ()
    """Each as it is; of one that is long, `digest` and `bytes`."""


@event("batch.formed", schema=1)
class BatchFormed(Event):
    """Captured calls became training rows, or were dropped for a reason: captured = kept + sum(dropped)."""

    run_id: str
    batch_id: str
    adapter: str
    rollouts: tuple[str, ...]
    captured: int
    """Policy calls of those rollouts, as recorded."""
    kept: int
    """Calls that ended in a row."""
    rows: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Reason code to number of calls."""
    masked: Mapping[str, int] = field(default_factory=dict)
    """Exit status, `cancelled` or `no_reward`, to number of rollouts that were left out of the batch."""
    digest: str
    """Hash of the rows, to prove a later re-projection equal."""
    options: Mapping[str, Any] | None = None
    """What the adapter was told, by name; null of an adapter that is not known by name, and of logs before this."""
    as_of: int | None = None
    """Position up to which the log was read; null of logs before this."""
    failures: Mapping[str, str] = field(default_factory=dict)
    """What became of rollouts by how they ended, where the run says other than usual: exit status, owner of one, or
    `no_reward`, to `train`, `zero`, `mask`, `retry` or `fail`."""
    zeroed: Mapping[str, int] = field(default_factory=dict)
    """Exit status, or `no_reward`, to number of rollouts that got a zero nobody gave, because the run says so."""
    unmatched: Mapping[str, int] = field(default_factory=dict)
    """Reason to number of rewards that reached no call."""

    def __post_init__(self) -> None:
        if self.captured != self.kept + sum(self.dropped.values()):
            raise BadValue("captured", self.captured, why=f"kept {self.kept} and dropped {dict(self.dropped)} differ")


@event("metrics.logged", schema=1)
class MetricsLogged(Event):
    """Numbers an algorithm wants people to see."""

    run_id: str
    step: int
    metrics: Mapping[str, float]

    def __post_init__(self) -> None:
        for name, value in self.metrics.items():
            if not math.isfinite(value):
                raise BadValue(f"metric {name}", value, why="a metric is a finite number")
