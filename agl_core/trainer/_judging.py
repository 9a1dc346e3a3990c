"""Judges at work: their models behind a gateway, in a run as rollouts end, or later over old ones."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any

from agl_core.errors import ContentErased, JudgeUnanswered
from agl_core.events import BatchFormed, RewardWithheld, RolloutFinished
from agl_core.gateway import Gateway
from agl_core.judges import Ask, Asking, Sat, Seat, Sitting, asks, identity, why_not
from agl_core.plugins import Plugins
from agl_core.projections import Trace
from agl_core.record import Record
from agl_core.recorder import Recorder, machinery
from agl_core.resources import NamedResources, ProxyLLM
from agl_core.run import Failures
from agl_core.runner import Hook
from agl_core.store import Rollout, Store
from agl_core.trainer._serving import Models, lane_names

__all__ = ["JudgeHook", "judge_rollouts", "judgeable"]

_AT_ONCE = 16
"""Rollouts of a run that are judged at a time."""
_WITHHELD = """
select distinct json_extract(data, '$.rollout_id') from events where type = ? and correlation_id = ? order by 1
"""
_log = logging.getLogger(__name__)


class JudgeHook(Hook):
    """Has each rollout of a run judged when it has ended, while others go on, and before whoever waits for it does.

    What its policy did not cause is not judged, unless the run's `failures` let it count.
    """

    def __init__(self, seats: Sequence[Seat], failures: Failures, *, is_serial: bool = False) -> None:
        """`is_serial`: one rollout at a time, and one judge."""
        self._seats, self._failures = seats, failures
        self._sitting: Sitting | None = None
        self._is_serial, self._room = is_serial, asyncio.Semaphore(1 if is_serial else _AT_ONCE)
        self._withheld: Counter[tuple[str, str]] = Counter()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._told: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(
        self, store: Store, gateway: Gateway, plugins: Plugins, resources: NamedResources, closing: AsyncExitStack
    ) -> None:
        """Start the models that they ask, but for those of the run, whose names are among its resources."""
        served = {name: llm.model for name, llm in resources.items() if isinstance(llm, ProxyLLM)}
        asking = await _asking(self._seats, store, gateway, plugins, served, closing)
        self._sitting = Sitting(store, asking)
        closing.callback(self._tell)
        closing.push_async_callback(self._stop)

    async def follow(self, run_id: str, closing: AsyncExitStack) -> None:
        """Begin to judge rollouts of the run as each ends, so that whoever waits for one finds it under way.

        Before that, of a run that is resumed, judge what could not be judged; but for what is in a batch as it was.
        """
        assert self._sitting is not None
        log = self._sitting.store.log
        self._loop = loop = asyncio.get_running_loop()
        batches = (record.event for record in log.read(stream=f"run/{run_id}", types=[BatchFormed.type]))
        formed = {id_ for batch in batches if isinstance(batch, BatchFormed) for id_ in batch.rollouts}
        missing = [id_ for (id_,) in log.rows(_WITHHELD, (RewardWithheld.type, run_id)) if id_ not in formed]
        await asyncio.gather(*map(self._judge, missing))

        def heard(records: Sequence[Record]) -> None:
            for record in records:
                if isinstance(record.event, RolloutFinished) and record.correlation_id == run_id:
                    with suppress(RuntimeError):  # the run has ended, and its loop is closed
                        loop.call_soon_threadsafe(self._heard, record.event.rollout_id)

        if not self._is_serial:
            closing.callback(log.subscribe(heard, types=[RolloutFinished.type]))

    async def on_succeeded(self, *, rollout: Rollout, **_others: Any) -> None:
        """Judge it."""
        await self._has_judged(rollout.rollout_id)

    async def on_failed(self, *, rollout: Rollout, **_others: Any) -> None:
        """Judge it, where it counts."""
        await self._has_judged(rollout.rollout_id)

    async def _has_judged(self, rollout_id: str) -> None:
        # Pre-flight waits for its rollout in the loop of the runners: what judges belongs to the run's.
        assert self._loop is not None
        if self._loop is asyncio.get_running_loop():
            await self._judged(rollout_id)
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._judged(rollout_id), self._loop))

    def _heard(self, rollout_id: str) -> None:
        if rollout_id not in self._told:  # its end may be heard of here after whoever waited for it was told
            self._begun(rollout_id)

    def _begun(self, rollout_id: str) -> asyncio.Task[None]:
        task = self._under_way.get(rollout_id)
        if task is None:
            task = self._under_way[rollout_id] = asyncio.ensure_future(self._judge(rollout_id))
        return task

    async def _judged(self, rollout_id: str) -> None:
        self._told.add(rollout_id)
        try:
            await asyncio.shield(self._begun(rollout_id))
        finally:
            self._under_way.pop(rollout_id, None)

    async def _stop(self) -> None:
        for task in self._under_way.values():
            task.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _judge(self, rollout_id: str) -> None:
        with machinery():  # a judge's own calls are no agent's
            await self._judge_each(rollout_id)

    async def _judge_each(self, rollout_id: str) -> None:
        assert self._sitting is not None
        async with self._room:
            trace, _ = judgeable(self._sitting.store, rollout_id, self._failures)
            if trace is None:
                return
            judging = [self._sitting.judge(seat, trace) for seat in self._seats]
            sat = [await one for one in judging] if self._is_serial else await asyncio.gather(*judging)
        for seat, one in zip(self._seats, sat, strict=True):
            if one.status == "withheld":
                what = (identity(seat.judge), one.code)
                if not self._withheld[what]:  # said at once: an algorithm may stop for want of this very number
                    _log.warning("%s gave no number for %s [%s]: %s", what[0], rollout_id, one.code, one.why)
                self._withheld[what] += 1

    def _tell(self) -> None:
        for (who, code), count in self._withheld.items():
            if count > 1:
                _log.warning("%s gave no number for %d rollouts [%s]: see reward.withheld", who, count, code)


def judgeable(store: Store, rollout_id: str, failures: Failures) -> tuple[Trace | None, str]:
    """The rollout's trace; or why there is nothing to judge."""
    try:
        (trace,) = store.ask.traces([rollout_id])
    except ContentErased:
        return None, "erased"
    # As it would count, were it scored: whoever judges is about to.
    treated = failures.treatment(trace.status, trace.exit_status, is_scored=True)
    why = why_not(replace(trace, treated=treated))
    return (trace, "") if why is None else (None, why)


async def judge_rollouts(
    plugins: Plugins,
    store: Store,
    seat: Seat,
    rollouts: Mapping[str, Failures],
    *,
    concurrency: int,
    replace: bool,
    heard: Callable[[str, Sat | str], None],
) -> None:
    """Have old rollouts judged, so many at a time; each with the failure policy of its run.

    `heard` is told of each what came of it, or why there was nothing to judge.
    """
    left, beginning = iter(rollouts.items()), asyncio.Lock()
    sitting = Sitting(store, _nobody)
    async with AsyncExitStack() as closing:

        async def asked() -> None:
            """Start the model when there is something to ask it: where all was judged before, nothing is left to do."""
            nonlocal sitting
            async with beginning:
                if sitting.asking is not _nobody:
                    return
                gateway = Gateway(Recorder(store.log, actor="agl-core judges"), store.ask)
                await gateway.start()
                closing.push_async_callback(gateway.stop)
                sitting = Sitting(store, await _asking([seat], store, gateway, plugins, {}, closing))

        async def work() -> None:
            for rollout_id, failures in left:
                trace, why = judgeable(store, rollout_id, failures)
                if trace is None:
                    heard(rollout_id, why)
                    continue
                if asks(seat.judge) and (replace or not seat.judgements(store.log, trace)):
                    await asked()
                heard(rollout_id, await sitting.judge(seat, trace, replace=replace))

        await asyncio.gather(*(work() for _ in range(concurrency)))


async def _asking(
    seats: Sequence[Seat],
    store: Store,
    gateway: Gateway,
    plugins: Plugins,
    served: Mapping[str, str],
    closing: AsyncExitStack,
) -> Callable[[Seat, Trace, str], Ask]:
    wanted = dict.fromkeys(str(getattr(seat.judge, "model", "")) for seat in seats if asks(seat.judge))
    if not wanted:
        return _nobody
    import aiohttp

    models = dict(served)
    strangers = [model for model in wanted if model not in served]
    urls = {name: url for url, name in lane_names(strangers, prefix="judge").items()}
    # Apart from the run's own: these are nobody's resources, and no policy's.
    await Models(gateway, store.log, plugins, roles={}, usual="judge").start(urls, closing)
    models |= {url: name for name, url in urls.items()}
    client = await closing.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)))
    return Asking(store, await gateway.start(), client, models)


def _nobody(seat: Seat, _trace: Trace, _key: str) -> Ask:
    raise JudgeUnanswered(identity(seat.judge), why="no model was started for it")
