"""What the demo runs: a supervised warm start, then GRPO, as one run that resumes as one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agl_core.engine import Checkpoint
    from agl_core.run import Run

__all__ = ["Demo", "DemoConfig"]

_EVERY = 25
"""Steps of the warm start between two numbers in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConfig:
    """The two parts."""

    warm_start: Mapping[str, Any] | None = None
    """Settings of the supervised part; null for a model that can speak already."""
    grpo: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `agl-grpo`."""


class Demo:
    """A model that was just born learns to use the tool from demonstrations, and to use it well from reward."""

    name = "demo"
    needs = ("calls", "rewards", "token_ids", "groups", "exploration")
    """What pre-flight looks for in the first rollout."""

    def __init__(self, config: DemoConfig | None = None, **overrides: Any) -> None:
        self.config = config or DemoConfig(**overrides)

    async def run(self, run: Run) -> None:
        """Both parts; the policy that GRPO is measured against is the one that the warm start left."""
        if self.config.warm_start is not None:
            teacher = _Teacher(run)
            warmed = await run.update("warm-start", teacher.teach, run.policy(), dict(self.config.warm_start))
            await run.serve(warmed.checkpoint)
        await run.algorithm("grpo", **self.config.grpo).run(run)


class _Teacher:
    """The warm start as a stateful step, telling the log how far it is."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def teach(self, checkpoint: Checkpoint, out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Train `checkpoint` on demonstrations, into `out`."""
        from agl_demo._warm_start import warm_start

        return warm_start(checkpoint.folder, out, seed=self._run.seed, progress=self._progress, **settings)

    def _progress(self, step: int, loss: float) -> None:
        if step % _EVERY == 0:
            self._run.log(step=step, **{"warm_start/loss": loss})
