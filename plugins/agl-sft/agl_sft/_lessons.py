"""What a round learns from: rollouts that the run collects and chooses among, or those of another log."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any, Protocol

from agl_core.errors import BadValue, NoTrainingData, TokenIdsMissing
from agl_sft._reading import Reader, Source

if TYPE_CHECKING:
    from agl_core.engine import Checkpoint
    from agl_core.run import Run
    from agl_sft._config import SftConfig
    from agl_sft._tuner import Tuner

__all__ = ["Lesson", "Lessons", "Logged", "Sampled", "hands"]

_NOT_CHOSEN = frozenset(
    {"no_reward", "below_threshold", "not_positive", "not_best", "other_agent", "other_model", "not_selected"}
)
"""Why calls are not learnt from though nothing is wrong with them; so are those of rollouts that are masked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """Rollouts that were chosen, and how to tune on them."""

    chosen: int
    of: int
    tune: Callable[..., Mapping[str, float]]
    """For `run.update`, and what it takes beside the checkpoint."""
    arguments: tuple[Any, ...]
    metrics: Mapping[str, float]
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Reason to calls that are not learnt from."""

    @property
    def told(self) -> str:
        """How many of how many, and what became of the others' calls."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.dropped.items()))
        return f"{self.chosen} of {self.of} rollouts" + (f" (calls not learnt from: {reasons})" if reasons else "")


class Lessons(Protocol):
    """One lesson a round."""

    rounds: int

    async def next(self) -> Lesson:
        """That of the next round."""
        ...


class Sampled:
    """Rollouts of the run's own, by the policy as it is now."""

    def __init__(self, config: SftConfig, run: Run, tuner: Tuner) -> None:
        self.rounds = config.rounds
        self._config, self._run, self._tuner = config, run, tuner
        if not run.train:
            raise NoTrainingData("there is no task to sample")
        run.adapter("triplets", **self._rows_of)  # a mistake in it costs no rollout
        self._drawn = hands(len(run.train), config.tasks_per_round, run.rng("tasks"))

    async def next(self) -> Lesson:
        """Every task of the round `samples` times."""
        config, run = self._config, self._run
        tasks = [run.train[place] for place in next(self._drawn)]
        outcomes = await run.rollouts(tasks, repeat=config.samples, label="train", sampling=config.sampling)
        batch = run.adapt(outcomes, "triplets", **self._rows_of)
        dropped = Counter(dropped.reason for dropped in batch.dropped)
        _insist_on_ids(config.policy, batch.rows, dropped)
        rewards = [one.reward for one in outcomes if one.mask is None and one.reward is not None]
        chosen = {row.rollout_id: row for row in batch.rows}
        metrics = {
            "reward/n": len(rewards),
            **({"reward/mean": fmean(rewards)} if rewards else {}),
            **_chosen([row.reward for row in chosen.values()], of=len(outcomes)),
            "chosen/tasks": len({row.task_id for row in chosen.values()}),
            **_calls(batch.kept, dropped),
        }
        return Lesson(
            chosen=len(chosen),
            of=len(outcomes),
            tune=self._tuner.tune,
            arguments=(batch.rows,),
            metrics=metrics,
            dropped=dropped,
        )

    @property
    def _rows_of(self) -> dict[str, Any]:
        policy = self._config.policy
        return {**self._config.rows, "model": policy, "current_version": self._run.version(policy)}


class Logged:
    """Rollouts of another log, read once: the run records which rows it was."""

    rounds = 1

    def __init__(self, config: SftConfig, run: Run, tuner: Tuner, policy: Checkpoint) -> None:
        if run.train:
            why = f"there are {len(run.train)} training tasks too: learn from a log, or from rollouts of them"
            raise BadValue("from_log", config.from_log, why=why)
        self._run = run
        rows, folder = run.adapter("triplets", **config.rows), policy.base or policy.folder
        self._reader = Reader(rows, tuner, folder, opened=run.other_log, at=config.at)
        self._source = Source(log=str(config.from_log), run=config.from_run, select=dict(run.selection.wanted))

    async def next(self) -> Lesson:
        """All that is chosen of it; raises `BadValue` when that is none."""
        source = self._source
        found = await self._run.step("read", self._reader.look, source)
        lesson = Lesson(
            chosen=found["chosen"],
            of=found["rollouts"],
            tune=self._reader.tune,
            arguments=(source, found),
            metrics={
                **_chosen([found["reward"]] * found["chosen"], of=found["rollouts"]),
                "chosen/tasks": found["tasks"],
                **_calls(found["kept"], found["dropped"]),
            },
            dropped=found["dropped"],
        )
        if not lesson.chosen:
            raise BadValue("from_log", source.log, why=f"there is nothing to learn from: {lesson.told}")
        return lesson


def hands(count: int, size: int, dice: random.Random) -> Iterator[list[int]]:
    """Draw `size` of so many at a time, for ever: each once before any comes again. A size of 0 draws all."""
    size = min(size or count, count)
    deck: list[int] = []
    while True:
        if len(deck) < size:
            fresh = dice.sample(range(count), count)
            # What waits already comes last of the fresh ones, so that none is twice in a hand.
            deck += sorted(fresh, key=deck.__contains__)
        hand, deck = deck[:size], deck[size:]
        yield hand


def _chosen(rewards: Sequence[float], *, of: int) -> dict[str, float]:
    mean = {"chosen/reward": fmean(rewards)} if rewards else {}
    return {"chosen/rollouts": len(rewards), "chosen/of": of, **mean}


def _calls(kept: int, dropped: Mapping[str, int]) -> dict[str, float]:
    reasons = {f"dropped/{reason}": count for reason, count in sorted(dropped.items())}
    return {"calls/kept": kept, "calls/dropped": sum(dropped.values()), **reasons}


def _insist_on_ids(policy: str, rows: Sequence[Any], dropped: Mapping[str, int]) -> None:
    """A model that never says what it sampled will not do so in the next round."""
    wrong = {reason for reason in dropped if reason not in _NOT_CHOSEN and not reason.startswith("masked:")}
    if not rows and wrong == {"no_token_ids"}:
        raise TokenIdsMissing(policy)
