"""The trainer that does a rollout again, set as that of its run was."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agl_core.errors import BadValue, ModelNotFound
from agl_core.events import Component, RunConfig
from agl_core.gateway import Memory
from agl_core.record import Record
from agl_core.resources import LLM, NamedResources
from agl_core.runner import Runner
from agl_core.trainer._given import foreign
from agl_core.trainer._serving import is_foreign
from agl_core.trainer._trainer import Trainer

if TYPE_CHECKING:
    from agl_core.replay import Original

__all__ = ["trainer_again"]

_AT_ONCE = 8
_log = logging.getLogger(__name__)


def trainer_again(
    found: Original,
    algorithm: Any,
    *,
    into: Path,
    models: Mapping[str, str],
    times: int,
    seed: int | None = None,
    on_records: Callable[[Sequence[Record]], None] | None = None,
    memory: Memory | None = None,
    runner: Runner[Any] | None = None,
    sampling: Mapping[str, Any] = MappingProxyType({}),
) -> Trainer:
    """Its models, judges, seed and sampling are the run's; `models` are those that others answer for now.

    Of a fork, `memory` answers before any model does, `runner` runs it, and `sampling` goes over what the run had said
    of its modes. Raises for a model that nobody would serve, before anything is started or written.
    """
    started = found.started
    served = {**(started.models if started else {}), **models}
    initial = {name: llm for name, llm in _foreign(found).items() if not {name, _model(llm)} & models.keys()}
    _refuse(found, served, initial, models)
    config = started.config if started else RunConfig()
    trainer = Trainer(
        algorithm=algorithm,
        models=served,
        initial_resources=initial,
        roles={name: role for name, role in config.roles.items() if name in {*served, *initial}},
        sampling={
            mode: {name: sampling.get(name, value) for name, value in fields.items()}
            for mode, fields in config.sampling.items()
        },
        judges=dict(_judges(config.judges)),
        failures=config.failures,
        store=into,
        runner=runner,
        seed=seed if seed is not None else started.seed if started else 0,
        deterministic=bool(started and started.deterministic),
        n_runners=min(times, _AT_ONCE),
        on_records=on_records,
    )
    trainer.told = replace(trainer.told, memory=memory)
    return trainer


def _foreign(found: Original) -> NamedResources:
    """The models of others that it had, by the names of resources."""
    of_run = foreign(found.started, {}) if found.started else {}
    return {**of_run, **{name: llm for name, llm in found.resources.items() if is_foreign(llm)}}


def _model(resource: Any) -> str:
    return resource.model if isinstance(resource, LLM) else ""


def _judges(judges: Mapping[str, Component]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, judge in judges.items():
        if judge.importable:
            yield name, {"name": judge.name, **judge.config}
        else:
            _log.warning("%s gives no %s this time: it cannot be imported again (%s)", judge.name, name, judge.why)


def _refuse(found: Original, served: Mapping[str, str], initial: NamedResources, models: Mapping[str, str]) -> None:
    """Raise for a model that nobody serves, and for one that nobody asks for."""
    llms = {name: llm for name, llm in found.resources.items() if isinstance(llm, LLM)}
    known = {*llms, *(llm.model for llm in llms.values()), *(found.started.models if found.started else ())}
    for name, url in models.items():
        if name not in known:
            why = f"the rollout was given {', '.join(sorted(llms)) or 'no model: its agent asks a provider itself'}"
            raise BadValue("--model", f"{name}={url}", why=why)
    for name, llm in llms.items():
        if not {name, llm.model} & served.keys() and name not in initial:
            others = {_model(resource) for resource in initial.values()}
            if llm.model not in others:
                why = f"nobody serves what the rollout had as {name!r}: say who answers, with --model {name}=URL"
                raise ModelNotFound(llm.model, known=[*served, *others], why=why)
