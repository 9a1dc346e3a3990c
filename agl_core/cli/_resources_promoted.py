"""Versions declared the best by a person, forward or back: by a fact, which bears who and why."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agl_core.cli._logs import busy_is_said, find, there
from agl_core.cli._resources_meant import is_run, meant, named
from agl_core.cli._who import person
from agl_core.errors import BadValue

if TYPE_CHECKING:
    from agl_core.resources import ResourcesUpdate
    from agl_core.store import Promotion, Store

__all__ = ["promote", "roll_back"]

_ACTOR = "agl resources"


def promote(given: str, *, why: str, log_path: str | None) -> dict[str, Any]:
    """Declare that version the best; of a run, what it promoted."""
    with _writing(log_path) as store:
        run_id = find(store.log, "run", given) if is_run(store.log, given) else None
        return _declared(store, meant(store.log, given), store.ask.promotions(), run_id=run_id, why=why)


def roll_back(given: str, *, to: str | None, why: str, log_path: str | None) -> dict[str, Any]:
    """Declare the version of before, or the one named, the best anew."""
    id_, at, _ = given.rpartition("@")
    if at and to is not None:
        raise BadValue("--to", to, why=f"{given} names a version already: leave one of the two out")
    with _writing(log_path) as store:
        log, name = store.log, id_ if at else given
        where = (
            {"run_id": find(log, "run", name)} if is_run(log, name) else {"resources_id": find(log, "resource", name)}
        )
        declared = store.ask.promotions(**where)
        target = meant(log, given) if at else _earlier(store, declared, where, to)
        if declared and declared[-1].name == named(target):
            return _told(declared, is_new=False)
        return _declared(store, target, declared, run_id=where.get("run_id"), why=why or "rolled back")


def _earlier(store: Store, declared: Sequence[Promotion], where: Mapping[str, str], to: str | None) -> ResourcesUpdate:
    """The version to go back to: as named, else as the log has it."""
    if to is None or not (declared or "resources_id" in where):
        return store.ask.promoted_before(**where)
    bundle = declared[-1].resources_id if declared else where["resources_id"]
    return meant(store.log, to if "@" in to else f"{bundle}@{to}")


@contextmanager
def _writing(log_path: str | None) -> Iterator[Store]:
    from agl_core.plugins import Plugins
    from agl_core.store import Store

    path = there(log_path)
    with busy_is_said(path), Plugins.load().open_log(str(path)) as log:
        store = Store(log)
        try:
            yield store
        finally:
            store.close()


def _declared(
    store: Store, bundle: ResourcesUpdate, before: Sequence[Promotion], *, run_id: str | None, why: str
) -> dict[str, Any]:
    is_new = asyncio.run(store.promote(bundle, why=why, run_id=run_id, by=person(), actor=_ACTOR))
    return _told([*before, *(store.ask.promotions()[-1:] if is_new else ())], is_new=is_new)


def _told(declared: Sequence[Promotion], *, is_new: bool) -> dict[str, Any]:
    last, *before = declared[::-1]
    return {
        "best": last.name,
        "before": before[0].name if is_new and before else None,
        "run_id": last.run_id,
        "why": last.why,
        "is_new": is_new,
    }
