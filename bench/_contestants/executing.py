"""An agent's own code run again on what a log remembers, next to the run that was recorded, and to reading its log."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

import agl_core as agl
from agl_core.plugins import Plugins
from agl_core.replay import Options, Replayed, replaying_run
from agl_core.testing import ScriptedModel
from bench._contestants._asking import solve
from bench._contestants._logs import open_log
from bench._contestants._rollouts import TURNS
from bench._contestants._serve import serve

_AGENT = "bench._contestants._asking:solve"
_AT_ONCE = 8


class Executing:
    """Runs that are recorded once, by how many calls they made."""

    def __init__(self, ending: ExitStack) -> None:
        self._folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="agl-bench-")))
        self._numbers = iter(range(1_000_000))

    def live(self, count: int) -> dict[str, float]:
        """The run itself: a scripted model answers at once."""
        return {"calls/s": count / self._record(self._folder / f"live-{next(self._numbers)}.db", count)}

    def execute(self, count: int) -> dict[str, float]:
        """Every rollout of the run again, so many at once, with no model there."""
        path, into = self._recorded(count), self._folder / f"again-{next(self._numbers)}.db"
        with open_log(path) as log:
            (run_id,) = log.rows("select run_id from runs")[0]
            before = perf_counter()
            found = asyncio.run(
                replaying_run(
                    log, run_id, options=Options(), plugins=Plugins.load(), agent=_AGENT, into=into, at_once=_AT_ONCE
                )
            )
            seconds = perf_counter() - before
        answered = [one.answered for one in found.values() if isinstance(one, Replayed) and one.is_same]
        assert sum(answered) == count, f"{sum(answered)} of {count} calls were answered from the log"
        return {"calls/s": count / seconds}

    def read(self, count: int) -> dict[str, float]:
        """Every event of the recorded run's log, in order, decoded into what it was."""
        with open_log(self._recorded(count)) as log:
            before = perf_counter()
            for _ in log.read():
                pass
            return {"calls/s": count / (perf_counter() - before)}

    def _recorded(self, count: int) -> Path:
        path = self._folder / f"{count}.db"
        if not path.exists():
            self._record(path, count)
        return path

    def _record(self, path: Path, count: int) -> float:
        tasks = [{"question": f"How many are {number} trays of rolls?"} for number in range(count // TURNS)]
        with ScriptedModel("There are seven trays, and a dozen rolls on each.") as model:
            trainer = agl.Trainer(
                algorithm=agl.Baseline(),
                initial_resources={"llm": agl.LLM(endpoint=model.url, model="policy")},
                n_runners=_AT_ONCE,
                store=str(path),
            )
            before = perf_counter()
            trainer.fit(solve, val_dataset=tasks)
            return perf_counter() - before


if __name__ == "__main__":
    logging.disable(logging.INFO)
    with ExitStack() as ending:
        executing = Executing(ending)
        serve({"execute": executing.execute, "live": executing.live, "read": executing.read})
