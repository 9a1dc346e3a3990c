"""The algorithm of a run, to its end; whichever it is, the log says so."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from agl_core.algorithm import Legacy, is_durable
from agl_core.errors import AglError
from agl_core.events import PluginFailed, RunFailed, RunFinished
from agl_core.gateway import Ledger
from agl_core.record import Draft
from agl_core.recorder import machinery
from agl_core.run import Run
from agl_core.trainer._adapters import usual_adapter
from agl_core.trainer._dry import brought_home
from agl_core.trainer._log import note
from agl_core.trainer._told import Told

__all__ = ["RunSummary", "drive"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """How a run ended."""

    run_id: str
    log: str
    """Path of the log."""
    status: str
    result: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


async def drive(run: Run, algorithm: Any, told: Told, *, died: Future[None], ledger: Ledger) -> RunSummary:
    """Have the algorithm do its work while runners live and the budget lasts; raises what ended it otherwise."""
    log = run.store.log

    def failed(event: PluginFailed) -> None:
        log.submit([Draft(stream="log", event=event)])

    told.plugins.notify("agl_run_started", failed, run=run)
    with machinery():
        work = asyncio.ensure_future(_driven(algorithm, told).run(run))
    end, dry = asyncio.wrap_future(died), asyncio.wrap_future(ledger.dry)
    try:
        await asyncio.wait([work, end, dry], return_when=asyncio.FIRST_COMPLETED)
        if dry.done() and not end.done():
            await brought_home(log, run.id, ledger, unless=work)
        if not work.done():
            work.cancel()
            await asyncio.wait([work])
            if end.done():
                end.result()
            raise ledger.refusal()
        work.result()
        await run.caught_up()
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
        dry.cancel()
        told.plugins.notify("agl_run_finished", failed, run=run)
    await note(log, run.id, RunFinished(run_id=run.id, result=run.result), key=f"{run.id}/finished")
    run.close()
    return RunSummary(run_id=run.id, log=str(log.path), status="finished", result=run.result)


def _driven(algorithm: Any, told: Told) -> Any:
    """The algorithm; one of v0.3's kind behind what makes it one of ours."""
    if is_durable(algorithm):
        return algorithm
    call = getattr(algorithm, "__wrapped__", None) or algorithm.run
    name = getattr(algorithm, "name", type(algorithm).__name__)
    adapter = told.adapter or usual_adapter(told.plugins)
    return Legacy(call, name, adapter=adapter, llm_proxy=told.llm_proxy)
