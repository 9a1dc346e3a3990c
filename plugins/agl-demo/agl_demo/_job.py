"""The run that the demo is: which model, which tasks, which settings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from agl_core.ids import new_id
from agl_demo._presets import PRESETS, Preset

if TYPE_CHECKING:
    from agl_core.record import Record
    from agl_core.trainer import RunSummary

__all__ = ["Job"]

AGENT = "agl_demo.calculator.agent:calculator_agent"
STREAMING_AGENT = "agl_demo.calculator.agent:streaming_calculator_agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything that decides what the demo does."""

    model: str
    preset: Preset
    seed: int
    steps: int
    deterministic: bool
    log: str
    stream: bool = False
    """Whether the agent takes its replies as they are written."""

    @classmethod
    def of(
        cls, model: str, *, seed: int, steps: int | None, deterministic: bool, log: str, stream: bool = False
    ) -> Job:
        """The job for a model by its name."""
        preset = PRESETS[model]
        return cls(
            model=model,
            preset=preset,
            seed=seed,
            steps=steps or preset.grpo["steps"],
            deterministic=deterministic,
            stream=stream,
            log=log,
        )

    def run(self, heard: Callable[[Sequence[Record]], None]) -> RunSummary:
        """From the untrained model to the sealed test split."""
        from agl_core.trainer import Trainer
        from agl_demo.calculator.tasks import tasks

        # Before torch is imported: threads that wait in a spin take the core that the work needs.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        from transformers.utils import logging

        logging.disable_progress_bar()  # it would draw over ours
        splits = tasks(self.seed, **self.preset.tasks)
        options = dict(self.preset.engine) | ({"threads": 1} if self.deterministic else {})
        url = f"transformers:{self._folder()}" + (f"?{urlencode(options)}" if options else "")
        trainer = Trainer(
            algorithm={
                "name": "demo",
                "warm_start": self.preset.warm_start,
                "grpo": {**self.preset.grpo, "steps": self.steps},
            },
            models={"policy": url},
            store=self.log,
            n_runners=self.preset.n_runners,
            seed=self.seed,
            deterministic=self.deterministic,
            on_records=heard,
        )
        agent = STREAMING_AGENT if self.stream else AGENT
        return trainer.fit(agent, splits["train"], val_dataset=splits["val"], test_dataset=splits["test"])

    def _folder(self) -> Path:
        """The model that training starts from: made beside the log, or found in a package."""
        if self.model == "smollm2":
            from agl_demo._smollm2 import folder

            return folder()
        from agl_demo._tiny import build

        target = Path(f"{self.log}.d") / "models" / f"tiny-{self.seed}"
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            half_made = target.with_name(new_id("tmp"))
            build(half_made, seed=self.seed)
            try:
                half_made.rename(target)
            except OSError:  # another demo of this seed was faster; the bytes are the same
                shutil.rmtree(half_made)
        return target


def counted(log: Any, run_id: str) -> dict[str, int]:
    """How much was done in a run."""
    rows = log.rows(
        "select (select count(*) from rollouts where run_id = :run), "
        "(select count(*) from calls join rollouts using (rollout_id) where run_id = :run), "
        "(select count(*) from metrics where run_id = :run and name = 'reward/mean')",
        {"run": run_id},
    )
    return dict(zip(("rollouts", "calls", "steps"), rows[0], strict=True))
