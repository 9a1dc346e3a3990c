"""What each candidate earned on each task: run once, kept with the task, and compared on tasks that both have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from agl_core.errors import TooFewScored
from agl_core.ids import task_id
from agl_core.run import Failures

if TYPE_CHECKING:
    from agl_apo._candidate import Candidate
    from agl_core.run import Run
    from agl_core.store import Outcome

__all__ = ["Pairs", "Score", "Scoreboard", "Task", "evaluating", "tasks_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task of a split."""

    id: str
    """As its rollouts name it; equal tasks of a split are told apart."""
    content: Any = field(hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a candidate came to on a task."""

    reward: float | None
    """The mean of its rollouts that count; None where none does, and that is no zero."""
    outcomes: tuple[Outcome, ...]
    as_of: int
    """Where the log stood when they were in: what is read of them is read up to here, also when a run is resumed."""

    @property
    def lost(self) -> Counter[str]:
        """Why rollouts of it do not count: how they ended, or `no_reward`."""
        return Counter(why for outcome in self.outcomes if (why := _mask(outcome)) is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Two candidates on the tasks that both were scored on."""

    tasks: tuple[str, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    of: int
    """Tasks that the first was scored on: those of them that the second was not are in no pair."""

    @property
    def differences(self) -> list[float]:
        """Task by task: second minus first."""
        return [after - before for before, after in zip(self.before, self.after, strict=True)]

    @property
    def gain(self) -> float:
        """Their mean; 0 of no pair."""
        return fmean(self.differences) if self.tasks else 0.0

    @property
    def share(self) -> float:
        """Of the tasks that the first was scored on, how many the second was scored on, too."""
        return len(self.tasks) / self.of if self.of else 0.0

    @property
    def regressed(self) -> list[str]:
        """Tasks on which the second earned less."""
        return [task for task, difference in zip(self.tasks, self.differences, strict=True) if difference < 0]


class Scoreboard:
    """Scores by candidate, mode and task. Judges and seed are the run's, so what is here never has to be run again."""

    def __init__(self, run: Run, *, repeat: int = 1, timeout: float | None = None) -> None:
        self._run, self._repeat = run, repeat
        config = run.rollout_config
        self._config = config if config.timeout_seconds else replace(config, timeout_seconds=timeout)
        self._hands: dict[str, Run] = {}
        self._scores: dict[tuple[str, str, str], Score] = {}
        self.rollouts = 0
        """That were run so far."""

    async def evaluate(self, candidate: Candidate, tasks: Sequence[Task], *, mode: str = "val") -> None:
        """Have the candidate scored on these tasks; on those it was scored on before, nothing is run.

        One at a time of each candidate and mode; of several candidates at once, as many as the runners take.
        """
        missing = [task for task in dict.fromkeys(tasks) if (candidate.content, mode, task.id) not in self._scores]
        if not missing:
            return
        hand = self._hands.setdefault(candidate.name, self._run.scope(candidate.name))
        outcomes = await hand.rollouts(
            [task.content for task in missing],
            resources=candidate.bundle,
            mode=mode,
            repeat=self._repeat,
            label=mode,
            config=self._config,
        )
        as_of = int(await hand.step(f"{mode}_as_of", self._run.store.log.head))
        self.rollouts += len(outcomes)
        for n, task in enumerate(missing):
            made = tuple(outcomes[n * self._repeat : (n + 1) * self._repeat])
            rewards = [one.reward for one in made if one.reward is not None and _mask(one) is None]
            score = Score(reward=fmean(rewards) if rewards else None, outcomes=made, as_of=as_of)
            self._scores[candidate.content, mode, task.id] = score

    def score(self, candidate: Candidate, task: Task, *, mode: str = "val") -> Score | None:
        """What it came to there; None of a task that it was not evaluated on."""
        return self._scores.get((candidate.content, mode, task.id))

    def rewards(self, candidate: Candidate, tasks: Iterable[Task], *, mode: str = "val") -> dict[str, float]:
        """Reward by task, of those that it was scored on."""
        found = {task.id: self.score(candidate, task, mode=mode) for task in tasks}
        return {task: score.reward for task, score in found.items() if score is not None and score.reward is not None}

    def unseen(self, candidate: Candidate, tasks: Iterable[Task], *, mode: str = "val") -> int:
        """How many of these tasks an evaluation would run."""
        return sum(self.score(candidate, task, mode=mode) is None for task in dict.fromkeys(tasks))

    def lost(self, candidate: Candidate, tasks: Iterable[Task], *, mode: str = "val") -> Counter[str]:
        """Why rollouts of these tasks do not count, and how many."""
        scores = (self.score(candidate, task, mode=mode) for task in tasks)
        return sum((score.lost for score in scores if score is not None), Counter())

    def pairs(self, before: Candidate, after: Candidate, tasks: Sequence[Task], *, mode: str = "val") -> Pairs:
        """Both on the tasks that both were scored on, in the order of `tasks`."""
        first, second = self.rewards(before, tasks, mode=mode), self.rewards(after, tasks, mode=mode)
        both = [task for task in first if task in second]
        return Pairs(
            tasks=tuple(both),
            before=tuple(first[task] for task in both),
            after=tuple(second[task] for task in both),
            of=len(first),
        )

    def insist(self, candidate: Candidate, tasks: Sequence[Task], *, share: float) -> None:
        """Raise `TooFewScored` unless it was scored on that share of the tasks: the base, to which all is compared."""
        scored = self.rewards(candidate, tasks)
        if len(scored) < share * len(tasks):
            scores = {task.id: self.score(candidate, task) for task in tasks if task.id not in scored}
            example = next(score.outcomes[0].rollout_id for score in scores.values() if score is not None)
            raise TooFewScored(len(scored), of=len(tasks), lost=self.lost(candidate, tasks), example=example)


def tasks_of(split: Sequence[Any]) -> tuple[Task, ...]:
    """The tasks of a split; equal ones have ids of their own, as they are samples of their own."""
    seen: Counter[str] = Counter()
    found = []
    for content in split:
        plain = task_id(content)
        found.append(Task(id=task_id(content, seen[plain]), content=content))
        seen[plain] += 1
    return tuple(found)


def evaluating(run: Run, name: str) -> Run:
    """The run as a search holds it: what nobody scored leaves a comparison, counted, unless the run says otherwise."""
    hand = run.scope(name)
    hand.failures = Failures.of({"no_reward": "mask", **run.failures.said})
    return hand


def _mask(outcome: Outcome) -> str | None:
    """Why it does not count: how it ended, also where nobody scored it for that."""
    if outcome.reward is None and outcome.exit_status not in {None, "completed"}:
        return outcome.exit_status
    return outcome.mask or ("no_reward" if outcome.reward is None else None)
