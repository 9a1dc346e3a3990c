"""The trainer: one call from an agent and its tasks to a finished run."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Literal

from agl_core.agents import LitAgent
from agl_core.algorithm import Baseline, FastAlgorithm, is_durable, plan_of
from agl_core.datasets import Source
from agl_core.errors import BadValue, NotFast, NoTrainingData
from agl_core.events import Role, RolloutConfig
from agl_core.ids import new_id
from agl_core.plugins import Plugins
from agl_core.record import Record
from agl_core.resources import NamedResources
from agl_core.run import Budget, Failures, Plan, Prices, Selection
from agl_core.runner import Hook
from agl_core.trainer._adapters import adapter_component
from agl_core.trainer._components import build_component, find_agent
from agl_core.trainer._driving import RunSummary
from agl_core.trainer._given import (
    fraction,
    given_tasks,
    known_roles,
    known_tracer,
    refuse_online,
    refuse_too_small,
    refuse_unheard,
    sampling_by_mode,
    sizes,
)
from agl_core.trainer._looking import Looking
from agl_core.trainer._one_run import one_run
from agl_core.trainer._plugin_hooks import PluginHooks
from agl_core.trainer._reactions import reactions_of
from agl_core.trainer._seats import seats_of
from agl_core.trainer._told import Told

__all__ = ["Trainer"]


class Trainer:
    """Agent Lightning's arguments, and those of ours from `models` on.

    Each component is an instance, a class, a factory, an import path, a registry name, a dict, or None.
    `models` maps a name to an engine URL: `transformers:/path/to/model`, or `https://host/v1#model` where others serve
    it. `roles` says of whom it is no policy, `{"grader": "judge"}`: only a policy's calls are trained on. `sampling` is
    what calls of a mode get whatever the agent asks for, `{"val": {"temperature": 0}}`. `select` says which calls may
    become rows, `{"agent": "writer"}`; `Run.adapt` says of the others why not. A tracer that cannot attach is
    `TracerFailed` before anything runs, unless `on_tracer_error` (or AGL_ON_TRACER_ERROR) is "warn". `store` is a path,
    a URL, a log or a store (default `.agl/log.db`); `max_rollouts` is per runner; `port` is the gateway's.
    `judges` score each rollout when it has ended: `"exact_match"`, `{"name": "llm", "model": URL, "as": "style"}`, an
    instance, or several; what they give is `primary`, or what `as` says.
    `reactions` follow the run and decide by its facts: `"promote_best"`, `{"name": "stop_early", "patience": 5}`.
    `preflight` looks at the first rollout before the others begin, and stops a run that would learn nothing; "warn"
    lets it go on. Left out, it is AGL_PREFLIGHT (0, 1 or warn), else on, where the algorithm says what it needs.
    `failures` says what becomes of rollouts by how they end, `{"environment": "zero", "timeout": "mask"}`: see
    `Failures`. The run stops when more than `max_failed_fraction` of the rollouts it asks for at once are masked.
    `budget` is what all its model calls may come to, `{"calls": 500}`, `{"tokens": 1_000_000}` or `{"usd": 2.5}`; what
    is not covered waits, and the run ends with `BudgetSpent`, to be resumed with a larger one. `prices` maps a model to
    USD for a million tokens of prompts, and of answers.
    With `no_rollouts` not one is enqueued: an algorithm that learns from a log alone does so, any other is
    `NotOffline`, and one that asks for some all the same is stopped by `RolloutsForbidden`.
    All of it, looked over, is in `told`; a run that is resumed changes nothing there.
    """

    def __init__(
        self,
        *,
        n_runners: int | None = None,
        max_rollouts: int | None = None,
        initial_resources: NamedResources | None = None,
        tracer: Any = None,
        adapter: Any = None,
        store: Any = None,
        runner: Any = None,
        strategy: Any = None,
        port: int | None = None,
        algorithm: Any = None,
        llm_proxy: Any = None,
        hooks: Hook | Sequence[Hook] | None = None,
        models: Mapping[str, str] | None = None,
        roles: Mapping[str, Role] | None = None,
        sampling: Mapping[str, Mapping[str, Any]] | None = None,
        select: Mapping[str, str | Sequence[str]] | None = None,
        failures: Mapping[str, str] | Failures | None = None,
        judges: Any = None,
        reactions: Any = None,
        max_failed_fraction: float | None = None,
        budget: Mapping[str, float] | Budget | None = None,
        prices: Mapping[str, tuple[float, float]] | None = None,
        seed: int = 0,
        deterministic: bool = False,
        rollout_config: RolloutConfig | None = None,
        on_tracer_error: Literal["raise", "warn"] | None = None,
        preflight: bool | Literal["warn"] | None = None,
        no_rollouts: bool = False,
        on_records: Callable[[Sequence[Record]], None] | None = None,
        plugins: Plugins | None = None,
        dev: bool = False,
    ) -> None:
        self.plugins = plugins = plugins or Plugins.load()
        self.hooks = [hooks] if isinstance(hooks, Hook) else list(hooks or ())
        if PluginHooks.are_wanted(plugins):
            self.hooks.append(PluginHooks(plugins))
        self.algorithm = build_component(algorithm, kind="algorithm", find=plugins.algorithm)
        self.adapter = adapter_component(adapter, plugins)
        self.told = Told(
            n_runners=1 if deterministic else n_runners or 1,
            max_rollouts=max_rollouts,
            models=dict(models or {}),
            initial_resources=dict(initial_resources or {}),
            roles=known_roles(roles or {}),
            sampling=sampling_by_mode(sampling or {}),
            selection=Selection.of(select),
            failures=Failures.of(failures),
            judges=seats_of(plugins, judges),
            reactions=reactions_of(plugins, reactions),
            max_failed_fraction=fraction("max_failed_fraction", max_failed_fraction),
            budget=Budget.of(budget),
            prices=Prices(prices),
            seed=seed,
            deterministic=deterministic,
            rollout_config=rollout_config or RolloutConfig(max_attempts=3),
            plugins=plugins,
            hooks=self.hooks,
            store=store,
            tracer=known_tracer(tracer),
            runner=build_component(runner, kind="runner", max_rollouts=max_rollouts),
            strategy=strategy,
            adapter=self.adapter,
            llm_proxy=llm_proxy,
            port=port or 0,
            looking=Looking.of(preflight),
            no_rollouts=no_rollouts,
            goes_on_untraced=(on_tracer_error or os.environ.get("AGL_ON_TRACER_ERROR", "raise")) == "warn",
            on_records=on_records,
        )
        self._is_dev = dev

    def fit(
        self,
        agent: LitAgent[Any] | str | None,
        train_dataset: Source | None = None,
        *,
        val_dataset: Source | None = None,
        test_dataset: Source | None = None,
        resume: str | None = None,
        run_id: str | None = None,
    ) -> RunSummary:
        """Run the algorithm to its end; blocks. `resume` takes up a run of this log, whose tasks come from it.

        An algorithm that says `needs_tasks = False` goes without training tasks; without any, `agent` may be None.
        """
        algorithm, told = self.algorithm or Baseline(), self.told
        if self._is_dev and not isinstance(algorithm, FastAlgorithm):
            raise NotFast(type(algorithm).__name__)
        if not is_durable(algorithm):
            refuse_unheard(select=str(told.selection), failures=told.failures.said, share=told.max_failed_fraction)
        if resume is None and (nobody := told.roles.keys() - told.models.keys() - told.initial_resources.keys()):
            raise BadValue("roles", sorted(nobody), why="they name models, or LLMs among the initial resources")
        tasks = given_tasks(train_dataset, val_dataset, test_dataset)
        needs_tasks = getattr(algorithm, "needs_tasks", True)
        if told.no_rollouts and resume is None:
            refuse_online(algorithm, sizes(*tasks), told.plugins.algorithms())
        if resume is None and needs_tasks and not tasks[0] and not (isinstance(algorithm, FastAlgorithm) and tasks[1]):
            raise NoTrainingData("there are no training tasks")
        if resume is None:
            refuse_too_small(told.budget, plan_of(algorithm, sizes(*tasks), told.budget))
            told.looking.ahead(algorithm, dict(zip(("train", "val", "test"), tasks, strict=True)), told.sampling)
        found = find_agent(LitAgent if agent is None and not needs_tasks and not any(tasks) else agent)
        found.set_trainer(self)
        run_id = run_id or new_id("run")
        return _blocking(functools.partial(one_run, told, found, algorithm, tasks, run_id=run_id, resume=resume))

    def plan(
        self,
        train_dataset: Source | None = None,
        *,
        val_dataset: Source | None = None,
        test_dataset: Source | None = None,
    ) -> Plan | None:
        """What `fit` would do with these tasks and the budget, where the algorithm says so ahead; nothing runs."""
        return plan_of(self.algorithm or Baseline(), sizes(train_dataset, val_dataset, test_dataset), self.told.budget)

    def dev(
        self,
        agent: LitAgent[Any] | str,
        train_dataset: Source | None = None,
        *,
        val_dataset: Source | None = None,
    ) -> RunSummary:
        """`fit` for trying things out: fast algorithms only (`Baseline` when none was given)."""
        algorithm = self.algorithm or Baseline()
        if not isinstance(algorithm, FastAlgorithm):
            raise NotFast(type(algorithm).__name__)
        return self.fit(agent, train_dataset, val_dataset=val_dataset)


def _blocking(job: Callable[[], Any]) -> RunSummary:
    """Run to the end here; in a thread when this one has a loop running, as a notebook's has."""
    if asyncio._get_running_loop() is None:  # noqa: SLF001 - the public one raises, and that would chain to ours
        return asyncio.run(job())  # type: ignore[no-any-return]
    future: Future[RunSummary] = Future()

    def run() -> None:
        try:
            future.set_result(asyncio.run(job()))
        except BaseException as error:  # noqa: BLE001 - carried to the one who waits
            future.set_exception(error)

    threading.Thread(target=run, name="agl-trainer", daemon=True).start()
    return future.result()
