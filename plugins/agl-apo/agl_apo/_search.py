"""What every search begins with, and what it is asked for in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agl_apo._candidate import Candidate, base_of
from agl_apo._costs import Purse
from agl_apo._nursery import Nursery
from agl_apo._scores import Scoreboard, Task, evaluating, tasks_of
from agl_core.errors import BadValue, NoTrainingData

if TYPE_CHECKING:
    from agl_apo._search_config import SearchConfig
    from agl_core.resources import PromptTemplate
    from agl_core.run import Run

__all__ = ["Begun", "Finding", "begun"]


class Finding:
    """An algorithm that finds a prompt."""

    _best: Candidate | None = None

    def get_best_prompt(self, name: str | None = None) -> PromptTemplate:
        """The winner's prompt of that name; the first, when none is said. Raises `BadValue` before a run has ended."""
        if self._best is None:
            raise BadValue("best prompt", None, why="there is none before a run has ended: call `Trainer.fit` first")
        return self._best.prompts[name or next(iter(self._best.prompts))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A search that has what it needs."""

    run: Run
    """As the search holds it: see `evaluating`."""
    train: tuple[Task, ...]
    val: tuple[Task, ...]
    base: Candidate
    board: Scoreboard
    purse: Purse
    nursery: Nursery


async def begun(run: Run, config: SearchConfig, *, name: str) -> Begun:
    """Look at splits, prompts and models; what is missing is told before anything is paid for."""
    run = evaluating(run, name)
    train, val = tasks_of(run.train), tasks_of(run.val)
    if not train:
        raise NoTrainingData("there is no task to criticise a prompt on")
    if not val:
        raise BadValue("val_dataset", (), why="candidates are compared on it: pass `val_dataset=`, or `--val FILE`")
    base = await base_of(run, names=config.prompts, prompt=config.prompt)
    board = Scoreboard(run, repeat=config.repeat, timeout=config.rollout_batch_timeout)
    purse = Purse(run, board)
    nursery = Nursery(run, config, base, board, purse)
    nursery.check_models()
    return Begun(run=run, train=train, val=val, base=base, board=board, purse=purse, nursery=nursery)
