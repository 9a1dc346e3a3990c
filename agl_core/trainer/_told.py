"""What a trainer was told, looked over: as a value, as a run's log keeps it, and as a run that is resumed began."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from agl_core.agents import LitAgent
from agl_core.algorithm import is_durable
from agl_core.errors import BadValue
from agl_core.events import Role, RolloutConfig, RunConfig, RunStarted
from agl_core.gateway import Memory
from agl_core.judges import Seat, asks
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.record import Record
from agl_core.recorder import Recorder
from agl_core.resources import NamedResources, dump
from agl_core.run import Budget, Failures, Prices, Selection, last_limits
from agl_core.runner import Hook, Runner
from agl_core.trainer._components import agent_component, algorithm_component
from agl_core.trainer._looking import Looking
from agl_core.trainer._reactions import Reactions, recorded, recorded_reactions
from agl_core.trainer._seats import recorded_seats, seated
from agl_core.trainer._serving import is_foreign

__all__ = ["Tasks", "Told"]

Tasks = Sequence[tuple[Any, ...]]
"""Of train, val and test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Each argument as it is used, with what a trainer does where it was left out."""

    n_runners: int
    max_rollouts: int | None
    """Of each runner."""
    models: Mapping[str, str]
    initial_resources: NamedResources
    roles: Mapping[str, Role]
    sampling: Mapping[str, Mapping[str, Any]]
    selection: Selection
    failures: Failures
    judges: Sequence[Seat]
    reactions: Reactions
    max_failed_fraction: float | None
    budget: Budget
    prices: Prices
    seed: int
    deterministic: bool
    rollout_config: RolloutConfig
    plugins: Plugins
    hooks: Sequence[Hook]
    store: Any
    """A path, a URL, a log, a store, or None."""
    tracer: Recorder | None
    runner: Runner[Any] | None
    strategy: Any
    adapter: Any
    llm_proxy: Any
    port: int
    looking: Looking
    no_rollouts: bool
    goes_on_untraced: bool
    on_records: Callable[[Sequence[Record]], None] | None
    memory: Memory | None = None
    """Of a fork: what answers before any model is asked."""

    def __post_init__(self) -> None:
        if self.n_runners < 1:
            raise BadValue("n_runners", self.n_runners, why="at least one runner is needed")

    @property
    def most_failed(self) -> float:
        """The share of what is asked for at once that may be masked."""
        return 1.0 if self.max_failed_fraction is None else self.max_failed_fraction

    @property
    def calls_per_rollout(self) -> int:
        """As long as nobody has seen one: its agent's, and one of each judge that asks a model."""
        return 1 + sum(asks(seat.judge) for seat in self.judges)

    def started(
        self, run_id: str, agent: LitAgent[Any], algorithm: Any, tasks: Tasks, *, resources_id: str | None
    ) -> RunStarted:
        """As the log keeps it."""
        train, val, test = tasks
        return RunStarted(
            run_id=run_id,
            agent=agent_component(agent),
            algorithm=algorithm_component(algorithm, self.plugins),
            models=self.models,
            seed=self.seed,
            deterministic=self.deterministic,
            resumable=is_durable(algorithm),
            n_runners=self.n_runners,
            config=RunConfig(
                initial_resources=resources_id,
                max_rollouts=self.max_rollouts,
                rollout=asdict(self.rollout_config),
                roles=self.roles,
                sampling=self.sampling,
                foreign={name: dump(llm) for name, llm in self.initial_resources.items() if is_foreign(llm)},
                select=self.selection.wanted,
                failures=dict(self.failures.said),
                judges=seated(self.plugins, self.judges),
                reactions=recorded(self.plugins, self.reactions),
                max_failed_fraction=self.most_failed,
                budget=self.budget.to_json(),
                prices=self.prices.to_json(),
                no_rollouts=self.no_rollouts,
            ),
            train=train,
            val=val,
            test=test,
        )

    def resumed(self, started: RunStarted, log: SqliteLog) -> Told:
        """The same, with all that rows and rewards depend on as the run began, and its budget as it was last said."""
        config, most = started.config, self.max_failed_fraction
        budget, prices = last_limits(log, started)
        return replace(
            self,
            seed=started.seed,
            selection=Selection.of(config.select),
            failures=Failures.of(config.failures),
            judges=self.judges or recorded_seats(self.plugins, config.judges),
            reactions=self.reactions or recorded_reactions(self.plugins, config.reactions),
            max_failed_fraction=config.max_failed_fraction if most is None else most,
            budget=self.budget or Budget.of(budget),
            prices=Prices({**prices, **self.prices.to_json()}),
            no_rollouts=self.no_rollouts or config.no_rollouts,
        )
