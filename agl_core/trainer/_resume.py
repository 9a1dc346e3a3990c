"""A run, taken up again from nothing but its log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from agl_core.errors import RunNotImportable, RunNotResumable
from agl_core.events import Component, RolloutConfig, RunStarted
from agl_core.plugins import Plugins
from agl_core.record import Record
from agl_core.trainer._components import find_agent, recorded_algorithm
from agl_core.trainer._driving import RunSummary
from agl_core.trainer._trainer import Trainer

__all__ = ["resume"]


def resume(
    run_id: str,
    *,
    log: str,
    on_records: Callable[[Sequence[Record]], None] | None = None,
    n_runners: int | None = None,
    max_failed_fraction: float | None = None,
    budget: Mapping[str, float] | None = None,
    prices: Mapping[str, tuple[float, float]] | None = None,
) -> RunSummary:
    """Find the run's code again, and run it: what is recorded returns at once, and only what is missing is done."""
    plugins = Plugins.load()
    started = _started(plugins, run_id, log)
    algorithm = recorded_algorithm(started.algorithm, plugins)
    trainer = Trainer(
        algorithm=algorithm,
        models=started.models,
        roles=started.config.roles,
        sampling=started.config.sampling,
        store=log,
        n_runners=n_runners or started.n_runners,
        max_rollouts=started.config.max_rollouts,
        seed=started.seed,
        deterministic=started.deterministic,
        rollout_config=msgspec.convert(started.config.rollout, RolloutConfig),
        max_failed_fraction=max_failed_fraction,
        budget=budget,
        prices=prices,
        on_records=on_records,
        plugins=plugins,
    )
    return trainer.fit(find_agent(_path(started.agent)), resume=run_id)


def _started(plugins: Plugins, run_id: str, url: str) -> RunStarted:
    with plugins.open_log(url, readonly=True) as log:
        record = log.get(run_id)
    if record is None or not isinstance(record.event, RunStarted):
        raise RunNotResumable(run_id, why=f"{url} has no run of that id; `agl runs list --log {url}` shows them")
    return record.event


def _path(component: Component) -> str:
    if not component.importable:
        raise RunNotImportable(component.name, why=component.why)
    return component.name
