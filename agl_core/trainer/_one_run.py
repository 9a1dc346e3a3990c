"""One run, and every lifetime in it: begun in order, from the store to the runners, and ended in the reverse."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from agl_core.agents import LitAgent
from agl_core.algorithm import is_durable
from agl_core.errors import BadValue
from agl_core.events import PluginFailed, PluginLoaded, RunResumed, RunStarted
from agl_core.executors import Executor
from agl_core.gateway import Gateway, Ledger
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.record import Draft
from agl_core.recorder import Recorder
from agl_core.resources import ProxyLLM, ResourcesUpdate
from agl_core.run import Run, account
from agl_core.runner import QueueHooks
from agl_core.store import Store
from agl_core.trainer._asking import RunAsks
from agl_core.trainer._components import actor_of, build_component
from agl_core.trainer._driving import RunSummary, drive
from agl_core.trainer._dry import unless_dry
from agl_core.trainer._given import foreign
from agl_core.trainer._judging import JudgeHook
from agl_core.trainer._log import find, note
from agl_core.trainer._reacting import Reacting
from agl_core.trainer._runners import Runners
from agl_core.trainer._serving import Models
from agl_core.trainer._told import Tasks, Told

__all__ = ["one_run"]

DEFAULT_LOG = ".agl/log.db"
_logger = logging.getLogger(__name__)


async def one_run(
    told: Told, agent: LitAgent[Any], algorithm: Any, tasks: Tasks, *, run_id: str, resume: str | None
) -> RunSummary:
    """From its beginning to its end; of one that is resumed, tasks and all that decides numbers are as it began."""
    began = time.monotonic()
    async with AsyncExitStack() as closing:
        store = _opened(told, closing)
        log = store.log
        started = find(log, resume) if resume is not None else None
        if started is not None:
            run_id, tasks, told = started.run_id, [started.train, started.val, started.test], told.resumed(started, log)
        await store.hold_run(run_id)
        closing.push_async_callback(store.release_run, run_id)
        recorder = told.tracer or Recorder(log)
        ledger = Ledger(told.budget, prices=told.prices, account=account(log, run_id, told.prices))
        gateway = Gateway(
            recorder,
            store.ask,
            log=log,
            port=told.port,
            overrides=told.sampling,
            ledger=ledger,
            memory=told.memory,
        )
        base = await gateway.start()
        closing.push_async_callback(gateway.stop)
        models = Models(gateway, log, told.plugins, roles=told.roles)
        await models.start(told.models, closing)
        given = told.initial_resources if started is None else foreign(started, told.initial_resources)
        resources = {**models.resources(), **(await models.adopt(given, closing))}
        if told.judges:
            judging = JudgeHook(told.judges, told.failures, is_serial=told.deterministic)
            await judging.start(store, gateway, told.plugins, resources, closing)
            ledger.refuse_unpriced()
            await unless_dry(ledger, judging.follow(run_id, closing))
            store.hooks = QueueHooks([judging, *told.hooks])
        ledger.refuse_unpriced()
        if started is None:
            bundle = await store.publish(resources, run_id=run_id, why="initial") if resources else None
            resources_id = bundle.resources_id if bundle else None
            event = told.started(run_id, agent, algorithm, tasks, resources_id=resources_id)
            await note(log, run_id, event, key=run_id)
        else:
            bundle = _first(store, started)
            budget, prices = told.budget.to_json(), told.prices.to_json()
            await note(log, run_id, RunResumed(run_id=run_id, after=log.head(), budget=budget, prices=prices))
        await _note_plugins(log, run_id, told.plugins)
        closing.enter_context(told.plugins.tracing(recorder, _goes_on(log) if told.goes_on_untraced else None))
        reacting = Reacting(log, run_id, told.reactions)
        reacting.begin(closing)
        run = Run(
            id=run_id,
            store=store,
            plugins=told.plugins,
            serving=models,
            train=tasks[0],
            val=tasks[1],
            test=tasks[2],
            seed=told.seed,
            deterministic=told.deterministic,
            resources=bundle,
            rollout_config=told.rollout_config,
            selection=told.selection,
            failures=told.failures,
            max_failed_fraction=told.most_failed,
            budget=told.budget,
            prices=told.prices,
            catch_up=reacting.catch_up,
            actor=actor_of(algorithm, told.plugins),
            no_rollouts=told.no_rollouts,
            asks=RunAsks(
                store,
                base,
                Models(gateway, log, told.plugins, roles={}, usual="tool"),
                {name: llm.model for name, llm in resources.items() if isinstance(llm, ProxyLLM)},
                closing,
                priced=ledger.refuse_unpriced,
            ),
        )
        runners = Runners(
            agent=agent,
            store=store,
            executor=functools.partial(_executor, told),
            recorder=recorder,
            gateway=base,
            hooks=told.hooks,
            runner=told.runner,
            max_rollouts=told.max_rollouts,
            preflight=await told.looking.begun(algorithm, store, run_id, told.failures),
        )
        # Not before the run asks for rollouts: those a dead process left in the queue must meet the right weights.
        models.before_work(functools.partial(runners.start, closing))
        if not is_durable(algorithm):
            await models.admit()
        summary = await drive(run, algorithm, told, died=runners.died, ledger=ledger)
        return replace(summary, seconds=time.monotonic() - began)


def _opened(told: Told, closing: AsyncExitStack) -> Store:
    """The store, with the hooks of the trainer, and with those who follow its log."""
    store = _store(told, closing)
    store.hooks = QueueHooks(told.hooks) or None
    closing.callback(setattr, store, "hooks", None)  # the store may be lent
    closing.callback(told.plugins.follow(store.log))
    if told.on_records is not None:
        closing.callback(store.log.subscribe(told.on_records))
    return store


def _store(told: Told, closing: AsyncExitStack) -> Store:
    match told.store:
        case Store() as store:
            return store
        case SqliteLog() as log:
            pass
        case None | str() | Path():
            log = told.plugins.open_log(str(told.store or DEFAULT_LOG))
            closing.callback(log.close)
        case other:
            raise BadValue("store", other, why="it is a path, a URL, a log or a store")
    store = Store(log)
    closing.callback(store.close)
    return store


def _first(store: Store, started: RunStarted) -> ResourcesUpdate | None:
    first = started.config.initial_resources
    return store.ask.resources(first, 1) if first else None


async def _note_plugins(log: SqliteLog, run_id: str, plugins: Plugins) -> None:
    for loaded in plugins.loaded:
        fact = (
            PluginLoaded(name=loaded.name, version=loaded.version)
            if not loaded.error
            else PluginFailed(name=loaded.name, why=loaded.error)
        )
        await note(log, run_id, fact, stream="log")


def _goes_on(log: SqliteLog) -> Callable[[PluginFailed], None]:
    def untraced(event: PluginFailed) -> None:
        _logger.warning("tracer %s cannot attach, and the run goes on without it: %s", event.name, event.why)
        log.submit([Draft(stream="log", event=event)])

    return untraced


def _executor(told: Told) -> Executor:
    strategy = told.strategy if told.strategy is not None else "inprocess"
    executor: Executor = build_component(
        strategy,
        kind="strategy",
        find=lambda name: told.plugins.open_executor(name, {"n_runners": told.n_runners}),
        n_runners=told.n_runners,
    )
    return executor
