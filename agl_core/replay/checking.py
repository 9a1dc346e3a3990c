"""An algorithm of today on the history of yesterday: it must move as it did, and nothing is done for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from agl_core.algorithm import Algorithm, Following, Reaction
from agl_core.algorithm._reaction import unwritten
from agl_core.engine import Checkpoint
from agl_core.errors import AglError, MissingExtra, NotReplayable, ReplayDiverged, UnknownName
from agl_core.events import EndpointRegistered, PolicyUpdated, RolloutConfig, RunFailed, RunFinished, RunStarted
from agl_core.ids import canonical
from agl_core.plugins import Plugins
from agl_core.record import Draft, Record
from agl_core.replay._tale import Beyond, Tale
from agl_core.replay._walk import Found, Mute, Recalled, Strict, Walk
from agl_core.replay.histories import History
from agl_core.run import Budget, Failures, Prices, Run, Selection, last_limits
from agl_core.run._sides import diverged, place

__all__ = ["Checked", "check"]

_PAUSE = 0.01
_QUIET = 20
"""Pauses in which nothing moves: then what runs beside the end of a history has come to its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of it."""

    run_id: str
    algorithm: str
    version: str | None
    """That wrote the history."""
    outcome: Literal["same", "goes_on", "diverged"]
    movements: int
    """That were found in the log."""
    goes_on_at: str | None = None
    """What an unfinished run would do next: a movement, or `its end`."""
    where: str = ""
    """In the algorithm's code."""
    unlogged: int = 0
    """Metrics of today that the log does not have: they are not compared."""
    error: ReplayDiverged | None = None

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        told = {name: getattr(self, name) for name in self.__slots__ if name != "error"}
        facts = None if self.error is None else {"code": self.error.code, "why": str(self.error), **self.error.facts}
        return told | {"error": facts}


def check(
    log: History, run_id: str, algorithm: Algorithm, *, plugins: Plugins, reactions: Mapping[str, Reaction[Any]]
) -> Checked:
    """Run the algorithm through the run's history, and the reactions over it. Nothing is written, asked or trained."""
    record = log.get(run_id)
    assert record is not None
    assert isinstance(record.event, RunStarted)
    log.tale = tale = Tale(log, run_id)
    started = record.event
    error: ReplayDiverged | None = None
    try:
        run = _run(log, record, plugins)
        ended = asyncio.run(_walked(run, algorithm, tale))
        _compare(run, tale, ended)
        for seat, reaction in reactions.items():
            _follow(log, record, tale, seat, reaction)
    except ReplayDiverged as parted:
        error = parted
    end = tale.ends[0] if tale.ends else None
    is_over = tale.is_finished or (end is None and isinstance(ended, Exception)) if error is None else True
    return Checked(
        run_id=run_id,
        algorithm=started.algorithm.name,
        version=started.algorithm.version,
        outcome="diverged" if error is not None else "same" if is_over else "goes_on",
        movements=len(tale.met & tale.recorded.keys()),
        goes_on_at=None if is_over else end.key if end is not None else "its end",
        where=error.where if error is not None else end.where if end is not None and not is_over else "",
        unlogged=tale.unlogged,
        error=error,
    )


# --- the algorithm


async def _walked(run: Run, algorithm: Algorithm, tale: Tale) -> BaseException | None:
    """What ended it: None of its own end, `Beyond` of the history's, else what it raised."""
    work = asyncio.ensure_future(algorithm.run(run))
    beyond = asyncio.ensure_future(tale.is_beyond.wait())
    await asyncio.wait([work, beyond], return_when=asyncio.FIRST_COMPLETED)
    quiet, met = 0, -1
    while tale.left and tale.ends and quiet < _QUIET:  # what runs beside may still have movements to find
        await asyncio.sleep(_PAUSE)
        quiet, met = (quiet + 1 if met == len(tale.met) else 0), len(tale.met)
    beyond.cancel()
    if not work.done():
        work.cancel()
        await asyncio.wait([work])
        return Beyond(tale.ends[0].key)
    return work.exception()


def _compare(run: Run, tale: Tale, ended: BaseException | None) -> None:
    """Raise `ReplayDiverged` unless the run came as far as its history does, and to the same end."""
    match ended:
        case ReplayDiverged():
            raise ended
        case Beyond():
            if tale.left:
                raise tale.parted(tale.ends[0].key, where=tale.ends[0].where)
        case None:
            if tale.left:
                raise tale.parted(None, where="")
            last = tale.last
            if last is not None and isinstance(last.event, RunFinished):
                then, now = dict(last.event.result), msgspec.to_builtins(run.result)
                if canonical(then) != canonical(now):
                    raise diverged(f"{run.id}/finished", last, recorded=then, asked=now, where="")
        case MissingExtra() | UnknownName():  # what it needs is not installed here
            raise ended
        case Exception():
            _expect(ended, tale)
        case _:
            raise ended


def _expect(error: Exception, tale: Tale) -> None:
    """Raise `ReplayDiverged` unless the run failed so when it was recorded."""
    code = error.code if isinstance(error, AglError) else type(error).__name__
    failed = tale.last.event if tale.last is not None else None
    if tale.left or not (isinstance(failed, RunFailed) and failed.code == code):
        raise tale.parted(None, asked=f"nothing, and raises {code}: {error}", where=_raised(error)) from error


def _raised(error: BaseException) -> str:
    """Where in the algorithm's code: the innermost frame of it."""
    found, trace = "", error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if not module.startswith("agl_core.") or module.startswith("agl_core.algorithm."):
            found = place(trace.tb_frame.f_code, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _run(log: History, record: Record, plugins: Plugins) -> Run:
    """As it began; what people changed when they resumed it decides no movement."""
    started = record.event
    assert isinstance(started, RunStarted)
    config, store = started.config, Found(log)
    budget, prices = last_limits(log, started)
    was_resumed = bool(log.rows("select 1 from events where stream = ? and type = 'run.resumed'", (record.stream,)))
    first = config.initial_resources
    return Walk(
        id=started.run_id,
        store=store,
        plugins=plugins,
        serving=Recalled(_first_weights(log, record)),
        train=started.train,
        val=started.val,
        test=started.test,
        seed=started.seed,
        deterministic=started.deterministic,
        resources=store.ask.resources(first, 1) if first else None,
        rollout_config=msgspec.convert(config.rollout, RolloutConfig),
        selection=Selection.of(config.select),
        failures=Failures.of(config.failures),
        # Another share may have been said at a resume, and what it let through is in the log.
        max_failed_fraction=1.0 if was_resumed else config.max_failed_fraction,
        budget=Budget.of(budget),
        prices=Prices(prices),
        asks=Mute(),
        journal=Strict(log, started.run_id, "main", "agl-core"),
    )


def _first_weights(log: History, record: Record) -> dict[str, Checkpoint]:
    """Those that each policy of the run began with, as far as the log names them."""
    started = record.event
    assert isinstance(started, RunStarted)
    found: dict[str, str] = {}
    for one in log.read(types=[EndpointRegistered.type]):
        event = one.event
        is_first = one.position < record.position or getattr(event, "model", "") not in found
        if isinstance(event, EndpointRegistered) and event.checkpoint and event.model in started.models and is_first:
            found[event.model] = event.checkpoint
    served = {one.event.policy for one in log.read(stream=record.stream) if isinstance(one.event, PolicyUpdated)}
    if unknown := sorted(served - found.keys()):
        raise NotReplayable(
            started.run_id,
            why=f"the log does not say with which weights {', '.join(unknown)} began",
            cure="It was written before this was kept: record the history again",
        )
    return {
        name: Checkpoint(digest=digest, folder=log.artefacts / "checkpoints" / digest.removeprefix("b2:"))
        for name, digest in found.items()
    }


# --- the reactions


def _follow(log: History, record: Record, tale: Tale, seat: str, reaction: Reaction[Any]) -> None:
    """Raise `ReplayDiverged` unless what it decides of the run's facts is what it decided."""
    prefix = f"reaction/{tale.run_id}/{seat}/"
    rows = log.rows("select key, position from events where key >= ? and key < ?", (prefix, prefix[:-1] + "0"))
    failed = next((int(key.rpartition("/")[2]) for key, _ in rows if key.startswith(f"{prefix}failed/")), None)
    left = {key: position for key, position in rows if not key.startswith(f"{prefix}failed/")}
    until = tale.last.position - 1 if tale.last is not None and tale.is_finished else None
    if failed is not None:
        until = failed - 1
    where = f"{type(reaction).__module__}:{type(reaction).__qualname__}.decide"

    def write(drafts: Any) -> list[Record]:
        return [_decided(log, tale, draft, left, where) for draft in drafts]

    following = Following(reaction, tale.run_id, seat)
    for one in log.read(after=record.position - 1, until=until):
        following.hear(one, write)
    if left:
        key, position = min(left.items(), key=lambda item: item[1])
        there = log.records([position])[position]
        recorded = {"event": there.event.type, **msgspec.to_builtins(there.event)}
        raise diverged(key, there, recorded=recorded, asked="nothing", where=where)


def _decided(log: History, tale: Tale, draft: Draft, left: dict[str, int], where: str) -> Record:
    found = log.get(str(draft.key))
    asked = log.codec.encode(draft.event).event
    if found is None:
        if tale.is_finished or left:
            raise diverged(str(draft.key), None, recorded="nothing", asked=msgspec.to_builtins(asked), where=where)
        return unwritten([draft])[0]
    left.pop(str(draft.key), None)
    if found.event != asked:
        sides = msgspec.to_builtins(found.event), msgspec.to_builtins(asked)
        raise diverged(str(draft.key), found, recorded=sides[0], asked=sides[1], where=where)
    return found
