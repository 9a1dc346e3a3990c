"""The trainer: one call from an agent and its tasks to a finished run."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from agl_core.agents import LitAgent
from agl_core.algorithm import Baseline, FastAlgorithm, Legacy, is_durable
from agl_core.datasets import Source
from agl_core.errors import AglError, BadValue, NotFast, NoTrainingData
from agl_core.events import (
    PluginFailed,
    PluginLoaded,
    Role,
    RolloutConfig,
    RunConfig,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
)
from agl_core.executors import Executor
from agl_core.gateway import Gateway
from agl_core.ids import new_id
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.record import Draft, Record
from agl_core.recorder import Recorder, machinery
from agl_core.resources import NamedResources, dump
from agl_core.run import Failures, Run, Selection
from agl_core.runner import Hook, QueueHooks
from agl_core.store import Store
from agl_core.trainer._adapters import adapter_component, usual_adapter
from agl_core.trainer._components import agent_component, algorithm_component, build_component, find_agent
from agl_core.trainer._given import foreign, fraction, given_tasks, known_roles, refuse_unheard, sampling_by_mode
from agl_core.trainer._judging import JudgeHook, recorded_seats, seated, seats_of
from agl_core.trainer._log import find, note
from agl_core.trainer._looking import Looking
from agl_core.trainer._plugin_hooks import PluginHooks
from agl_core.trainer._runners import Runners
from agl_core.trainer._serving import Models, is_foreign

__all__ = ["RunSummary", "Trainer"]

DEFAULT_LOG = ".agl/log.db"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """How a run ended."""

    run_id: str
    log: str
    """Path of the log."""
    status: str
    result: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


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
    `preflight` looks at the first rollout before the others begin, and stops a run that would learn nothing; "warn"
    lets it go on. Left out, it is AGL_PREFLIGHT (0, 1 or warn), else on, where the algorithm says what it needs.
    `failures` says what becomes of rollouts by how they end, `{"environment": "zero", "timeout": "mask"}`: see
    `Failures`. The run stops when more than `max_failed_fraction` of the rollouts it asks for at once are masked.
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
        max_failed_fraction: float | None = None,
        seed: int = 0,
        deterministic: bool = False,
        rollout_config: RolloutConfig | None = None,
        on_tracer_error: Literal["raise", "warn"] | None = None,
        preflight: bool | Literal["warn"] | None = None,
        on_records: Callable[[Sequence[Record]], None] | None = None,
        plugins: Plugins | None = None,
        dev: bool = False,
    ) -> None:
        self.plugins = plugins or Plugins.load()
        self.n_runners = 1 if deterministic else n_runners or 1
        self.max_rollouts, self.port, self.models = max_rollouts, port or 0, dict(models or {})
        self.initial_resources = dict(initial_resources or {})
        self.roles, self.sampling = known_roles(roles or {}), sampling_by_mode(sampling or {})
        self.selection, self.failures = Selection.of(select), Failures.of(failures)
        self.judges = seats_of(self.plugins, judges)
        self.max_failed_fraction = fraction("max_failed_fraction", max_failed_fraction)
        self.seed, self.deterministic = seed, deterministic
        self.rollout_config = rollout_config or RolloutConfig(max_attempts=3)
        self.hooks = [hooks] if isinstance(hooks, Hook) else list(hooks or ())
        if PluginHooks.are_wanted(self.plugins):
            self.hooks.append(PluginHooks(self.plugins))
        self.algorithm = build_component(algorithm, kind="algorithm", find=self.plugins.algorithm)
        self.adapter = adapter_component(adapter, self.plugins)
        self._runner = build_component(runner, kind="runner", max_rollouts=max_rollouts)
        self._strategy, self._store, self._tracer, self._llm_proxy = strategy, store, tracer, llm_proxy
        self._on_records, self._is_dev = on_records, dev
        self.goes_on_untraced = (on_tracer_error or os.environ.get("AGL_ON_TRACER_ERROR", "raise")) == "warn"
        self._looking = Looking.of(preflight)
        if tracer is not None and not isinstance(tracer, Recorder):
            raise BadValue("tracer", tracer, why="it is an agl_core.recorder.Recorder; plugins bring their own tracers")
        if self.n_runners < 1:
            raise BadValue("n_runners", n_runners, why="at least one runner is needed")

    def fit(
        self,
        agent: LitAgent[Any] | str,
        train_dataset: Source | None = None,
        *,
        val_dataset: Source | None = None,
        test_dataset: Source | None = None,
        resume: str | None = None,
        run_id: str | None = None,
    ) -> RunSummary:
        """Run the algorithm to its end; blocks. `resume` takes up a run of this log, whose tasks come from it."""
        algorithm = self.algorithm or Baseline()
        if self._is_dev and not isinstance(algorithm, FastAlgorithm):
            raise NotFast(type(algorithm).__name__)
        if not is_durable(algorithm):
            refuse_unheard(select=str(self.selection), failures=self.failures.said, share=self.max_failed_fraction)
        if resume is None and (nobody := self.roles.keys() - self.models.keys() - self.initial_resources.keys()):
            raise BadValue("roles", sorted(nobody), why="they name models, or LLMs among the initial resources")
        tasks = given_tasks(train_dataset, val_dataset, test_dataset)
        if resume is None and not tasks[0] and not (isinstance(algorithm, FastAlgorithm) and tasks[1]):
            raise NoTrainingData("there are no training tasks")
        if resume is None:
            self._looking.ahead(algorithm, dict(zip(("train", "val", "test"), tasks, strict=True)), self.sampling)
        job = functools.partial(self._run, find_agent(agent), algorithm, tasks, resume, run_id or new_id("run"))
        return _blocking(job)

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

    # --- one run

    async def _run(
        self, agent: LitAgent[Any], algorithm: Any, tasks: list[tuple[Any, ...]], resume: str | None, run_id: str
    ) -> RunSummary:
        began = time.monotonic()
        agent.set_trainer(self)
        async with AsyncExitStack() as closing:
            store = self._open_store(closing)
            store.hooks = QueueHooks(self.hooks) or None
            closing.callback(setattr, store, "hooks", None)  # the store may be lent
            log = store.log
            closing.callback(self.plugins.follow(log))
            if self._on_records is not None:
                closing.callback(log.subscribe(self._on_records))
            started = find(log, resume) if resume is not None else None
            if started is not None:
                run_id, tasks, config = started.run_id, [started.train, started.val, started.test], started.config
                self.seed, self.selection = started.seed, Selection.of(config.select)
                self.failures = Failures.of(config.failures)
                self.judges = self.judges or recorded_seats(self.plugins, config.judges)
                if self.max_failed_fraction is None:
                    self.max_failed_fraction = config.max_failed_fraction
            await store.hold_run(run_id)
            closing.push_async_callback(store.release_run, run_id)
            recorder = self._tracer or Recorder(log)
            gateway = Gateway(recorder, store.ask, log=log, port=self.port, overrides=self.sampling)
            base = await gateway.start()
            closing.push_async_callback(gateway.stop)
            models = Models(gateway, log, self.plugins, roles=self.roles)
            await models.start(self.models, closing)
            given = self.initial_resources if started is None else foreign(started, self.initial_resources)
            resources = {**models.resources(), **(await models.adopt(given, closing))}
            if self.judges:
                judging = JudgeHook(self.judges, self.failures, is_serial=self.deterministic)
                await judging.start(store, gateway, self.plugins, resources, closing)
                await judging.follow(run_id, closing)
                store.hooks = QueueHooks([judging, *self.hooks])
            if started is None:
                bundle = await store.publish(resources, run_id=run_id, why="initial") if resources else None
                event = self._started(run_id, agent, algorithm, tasks, bundle.resources_id if bundle else None)
                await note(log, run_id, event, key=run_id)
            else:
                first = started.config.initial_resources
                bundle = store.ask.resources(first, 1) if first else None
                await note(log, run_id, RunResumed(run_id=run_id, after=log.head()))
            for loaded in self.plugins.loaded:
                fact = (
                    PluginLoaded(name=loaded.name, version=loaded.version)
                    if not loaded.error
                    else PluginFailed(name=loaded.name, why=loaded.error)
                )
                await note(log, run_id, fact, stream="log")
            closing.enter_context(self.plugins.tracing(recorder, self._goes_on(log) if self.goes_on_untraced else None))
            run = Run(
                id=run_id,
                store=store,
                plugins=self.plugins,
                serving=models,
                train=tasks[0],
                val=tasks[1],
                test=tasks[2],
                seed=self.seed,
                deterministic=self.deterministic,
                resources=bundle,
                rollout_config=self.rollout_config,
                selection=self.selection,
                failures=self.failures,
                max_failed_fraction=self._most,
            )
            runners = Runners(
                agent=agent,
                store=store,
                executor=self._executor,
                recorder=recorder,
                gateway=base,
                hooks=self.hooks,
                runner=self._runner,
                max_rollouts=self.max_rollouts,
                preflight=await self._looking.begun(algorithm, store, run_id, self.failures),
            )
            # Not before the run asks for rollouts: those a dead process left in the queue must meet the right weights.
            models.before_work(functools.partial(runners.start, closing))
            if not is_durable(algorithm):
                await models.admit()
            return await self._drive(run, algorithm, runners.died, began)

    def _goes_on(self, log: SqliteLog) -> Callable[[PluginFailed], None]:
        def untraced(event: PluginFailed) -> None:
            _logger.warning("tracer %s cannot attach, and the run goes on without it: %s", event.name, event.why)
            log.submit([Draft(stream="log", event=event)])

        return untraced

    async def _drive(self, run: Run, algorithm: Any, died: Future[None], began: float) -> RunSummary:
        """The algorithm, to its end; whichever it is, the log says so."""
        log = run.store.log

        def failed(event: PluginFailed) -> None:
            log.submit([Draft(stream="log", event=event)])

        self.plugins.notify("agl_run_started", failed, run=run)
        if not is_durable(algorithm):
            call = getattr(algorithm, "__wrapped__", None) or algorithm.run
            name = getattr(algorithm, "name", type(algorithm).__name__)
            adapter = self.adapter or usual_adapter(self.plugins)
            algorithm = Legacy(call, name, adapter=adapter, llm_proxy=self._llm_proxy)
        with machinery():
            work = asyncio.ensure_future(algorithm.run(run))
        end = asyncio.wrap_future(died)
        try:
            await asyncio.wait([work, end], return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait([work])
                end.result()
            work.result()
        except asyncio.CancelledError:
            work.cancel()
            why = f"it was interrupted; `agl resume {run.id} --log {log.path}` goes on"
            await note(log, run.id, RunFailed(run_id=run.id, code="INTERRUPTED", why=why))
            raise
        except Exception as error:
            code = error.code if isinstance(error, AglError) else type(error).__name__
            await note(log, run.id, RunFailed(run_id=run.id, code=code, why=str(error)))
            raise
        finally:
            end.cancel()
            self.plugins.notify("agl_run_finished", failed, run=run)
        await note(log, run.id, RunFinished(run_id=run.id, result=run.result), key=f"{run.id}/finished")
        run.close()
        return RunSummary(
            run_id=run.id, log=str(log.path), status="finished", result=run.result, seconds=time.monotonic() - began
        )

    @property
    def _most(self) -> float:
        return 1.0 if self.max_failed_fraction is None else self.max_failed_fraction

    def _executor(self) -> Executor:
        strategy = self._strategy if self._strategy is not None else "inprocess"
        executor: Executor = build_component(
            strategy,
            kind="strategy",
            find=lambda name: self.plugins.open_executor(name, {"n_runners": self.n_runners}),
            n_runners=self.n_runners,
        )
        return executor

    def _started(
        self,
        run_id: str,
        agent: LitAgent[Any],
        algorithm: Any,
        tasks: list[tuple[Any, ...]],
        resources_id: str | None,
    ) -> RunStarted:
        train, val, test = tasks
        component = algorithm_component(algorithm, self.plugins)
        return RunStarted(
            run_id=run_id,
            agent=agent_component(agent),
            algorithm=component,
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
                max_failed_fraction=self._most,
            ),
            train=train,
            val=val,
            test=test,
        )

    def _open_store(self, closing: AsyncExitStack) -> Store:
        match self._store:
            case Store() as store:
                return store
            case SqliteLog() as log:
                pass
            case None | str() | Path():
                log = self.plugins.open_log(str(self._store or DEFAULT_LOG))
                closing.callback(log.close)
            case other:
                raise BadValue("store", other, why="it is a path, a URL, a log or a store")
        store = Store(log)
        closing.callback(store.close)
        return store


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
