"""The trainer that does a rollout again, set as that of its run was."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agl_core.errors import BadValue, ModelNotFound
from agl_core.events import Component
from agl_core.record import Record
from agl_core.resources import LLM, NamedResources
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
) -> Trainer:
    """Its models, judges, seed and sampling are the run's; `models` are those that others answer for now.

    Raises for a model that nobody would serve, before anything is started or written.
    """
    started = found.started
    served = {**(started.models if started else {}), **models}
    initial = {name: llm for name, llm in _foreign(found).items() if not {name, _model(llm)} & models.keys()}
    _refuse(found, served, initial, models)
    if started is None:
        return Trainer(
            algorithm=algorithm, models=served, initial_resources=initial, store=into, seed=seed or 0,
            n_runners=min(times, _AT_ONCE), on_records=on_records,
        )  # fmt: skip
    config = started.config
    return Trainer(
        algorithm=algorithm,
        models=served,
        initial_resources=initial,
        roles={name: role for name, role in config.roles.items() if name in {*served, *initial}},
        sampling=config.sampling,
        judges=dict(_judges(config.judges)),
        failures=config.failures,
        store=into,
        seed=started.seed if seed is None else seed,
        deterministic=started.deterministic,
        n_runners=min(times, _AT_ONCE),
        on_records=on_records,
    )


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
