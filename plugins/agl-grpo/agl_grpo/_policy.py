"""A policy that learns: its rows of what came in, its learner, and its line of weights."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agl_core.errors import MissingExtra, NoUsableRows, TokenIdsMissing
from agl_grpo._groups import round_of
from agl_grpo._health import health

if TYPE_CHECKING:
    from agl_core.adapter import Adapted
    from agl_core.engine import Checkpoint
    from agl_core.run import Run
    from agl_grpo._batch import Row
    from agl_grpo._collecting import Collected
    from agl_grpo._config import GrpoConfig
    from agl_grpo._learner import Learner

__all__ = ["Policy"]

_log = logging.getLogger(__name__)


class Policy:
    """One of those that a run trains, which is mostly the only one."""

    def __init__(self, run: Run, config: GrpoConfig, *, is_alone: bool) -> None:
        self.config, self.name = config, config.policy
        # Of several, each has movements and numbers of its own name.
        self._run, self._prefix = (run, "") if is_alone else (run.scope(self.name), f"{self.name}/")
        self.first = self.weights = run.policy(self.name)
        self._learner = _learner(config, run)
        self._empty, self._is_kept = 0, True
        run.adapter("triplets", **self._rows_of())  # a mistake in `credit` costs no rollout

    async def learn(self, collected: Collected, step: int) -> dict[str, float]:
        """Update on the rows of its own calls, and speak with the new weights; the metrics of doing so."""
        run, config = self._run, self.config
        batch = run.adapt(collected.outcomes, "triplets", **self._rows_of())
        self._look(batch, collected, step)
        grouped = collected.rewarded(at_least=config.smallest_group)
        learnt = round_of(grouped, batch.rows, leave_out_silent=config.zero_variance == "leave_out")
        rows = [row for row in learnt.rows if self._teaches(row)]
        metrics: dict[str, float] = health(batch)
        if config.zero_variance == "leave_out":
            metrics["group/left_out"] = learnt.left_out
        if rows:
            self._is_kept = step % config.checkpoint_every == 0 or step == config.steps
            updated = await run.update(
                "update", self._learner.update, self.weights, rows, learnt.rollouts, step, keep=self._is_kept
            )
            self.weights = updated.checkpoint
            await run.serve(self.weights, policy=self.name)
            metrics |= updated.result
        else:
            metrics["train/rows"] = 0
        return {f"{self._prefix}{name}": value for name, value in metrics.items()}

    async def keep(self) -> None:
        """Have the last weights on disk for good, when the steps ended where that was not foreseen."""
        if not self._is_kept:
            await self._run.update("keep", _copied, self.weights)

    def _rows_of(self) -> dict[str, Any]:
        # The version is not counted here: another algorithm may have trained the weights before.
        own = {"agent": self.config.agent, "model": self.name, "credit": self.config.crediting}
        return own | {"current_version": self._run.version(self.name)} | self.config.rows

    def _teaches(self, row: Row) -> bool:
        # Without a divergence to weigh, the loss of calls that earned nothing is 0, and so is its gradient.
        return any(row.credits) or self.config.kl > 0

    def _look(self, batch: Adapted[Row], collected: Collected, step: int) -> None:
        """Say that there is no row, go on, and stop when that has become the rule."""
        if batch.rows:
            self._empty = 0
            return
        dropped = Counter(one.reason for one in batch.dropped)
        if dropped.keys() == {"no_token_ids"}:  # a model that never says what it sampled will not do so later
            raise TokenIdsMissing(self.name)
        masked = Counter(one.mask for one in collected.outcomes if one.mask is not None)
        _log.warning("step %d: %r has no row to learn from (%s)", step, self.name, _told(dropped | masked))
        # Steps of a process before do not count: whoever resumes the run has mended something.
        self._empty = 0 if self._run.is_reading_back else self._empty + 1
        if self._empty == self.config.empty_steps:
            raise NoUsableRows(self.name, steps=self._empty, dropped=dropped, masked=masked)


def _told(reasons: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "no call was made"


def _copied(checkpoint: Checkpoint, out: Path) -> None:
    """The same files, and so the same checkpoint."""
    for file in checkpoint.folder.rglob("*"):
        if file.is_file() and file.name != "manifest.json":
            target = out / file.relative_to(checkpoint.folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def _learner(config: GrpoConfig, run: Run) -> Learner:
    try:
        from agl_grpo._learner import Learner
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "torch", install="pip install 'agl-grpo[torch]'") from None
    return Learner(config, reference=run.policy(config.policy), seed=run.seed, deterministic=run.deterministic)
