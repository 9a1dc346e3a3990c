"""The adapter `messages`: which conversations are learnt from, and the transcripts they make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import KW_ONLY, dataclass
from math import fsum
from typing import ClassVar, Literal

from agl_core.adapter import Adapted, Adapter, Credit, Trace
from agl_core.errors import BadValue
from agl_messages._gathered import Gathering
from agl_messages._row import Transcript

__all__ = ["Messages"]


@dataclass(frozen=True, slots=True)
class Messages:
    """Traces into chat transcripts, each with what it earned.

    The reward of a rollout is the value of the last counted reward event of that name whose target is the rollout. A
    transcript without one is kept without: it is dropped only where rewards decide. Calls of judges and tools are not
    looked at. Every other call ends in a transcript or in `dropped`, with the first of these reasons that holds:

    `other_agent` · `masked:<status>` (cancelled, or ended by something the policy did not cause) · `not_succeeded` ·
    `call_failed` · `no_chat` (a completion, an embedding) · `history_elsewhere` (the provider kept what was said
    before, and the trace does not have it) · `empty` (nothing was said) · why the `credit` adapter has none for it
    (`no_credit` where it does not say) · `no_reward` · `below_threshold` · `not_best`.
    """

    name: ClassVar[str] = "messages"

    level: Literal["trajectory", "call"] = "trajectory"
    """`trajectory` makes one row of a conversation and its continuation; `call` makes a row of each answer."""
    _: KW_ONLY
    agent: str | None = None
    """Keep the calls of this agent only."""
    succeeded: bool = False
    """Keep rollouts that came to a good end only."""
    at_least: float | None = None
    """Keep transcripts that earned this much."""
    best_of: int | None = None
    """Keep this many rollouts of each task: those that earned most, the earlier ones on a tie."""
    reward: str = "primary"
    """Name of the reward that counts."""
    credit: Adapter[Credit] | None = None
    """Says what each call earned, such as `rewards`; without one it is the final reward of the rollout."""

    @property
    def by_task(self) -> bool:
        """Whether the rows of a task depend on its own rollouts alone: as far as credits do."""
        return self.credit is None or bool(getattr(self.credit, "by_task", False))

    def __post_init__(self) -> None:
        self._gathering()
        if self.best_of is not None and self.best_of < 1:
            raise BadValue("best_of", self.best_of, why="the best of a task are one or more")

    def __call__(self, traces: Sequence[Trace]) -> Adapted[Transcript]:
        """Rows in the order of `traces`, then of the calls that began them."""
        gathered = self._gathering().of(traces)
        reasons = [self._unfit(transcript) for transcript in gathered.transcripts]
        if self.best_of is not None:
            standing = [one for one, reason in zip(gathered.transcripts, reasons, strict=True) if reason is None]
            best = _best(standing, self.best_of)
            reasons = [
                reason or (None if one.rollout_id in best else "not_best")
                for one, reason in zip(gathered.transcripts, reasons, strict=True)
            ]
        rows = [one for one, reason in zip(gathered.transcripts, reasons, strict=True) if reason is None]
        return gathered.adapted(rows, reasons)

    def _gathering(self) -> Gathering:
        return Gathering(
            level=self.level, agent=self.agent, succeeded=self.succeeded, reward=self.reward, credit=self.credit
        )

    def _unfit(self, transcript: Transcript) -> str | None:
        if self.at_least is None and self.best_of is None:
            return None
        if transcript.reward is None:
            return "no_reward"
        return "below_threshold" if self.at_least is not None and transcript.reward < self.at_least else None


def _best(transcripts: Sequence[Transcript], count: int) -> Collection[str]:
    """Rollouts of each task with the highest mean over their transcripts."""
    rewards: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in transcripts:
        assert one.reward is not None
        rewards[one.task_id][one.rollout_id].append(one.reward)
    best: set[str] = set()
    for members in rewards.values():
        means = {rollout_id: fsum(values) / len(values) for rollout_id, values in members.items()}
        # Sorting is stable, so of equals the first stays first.
        best.update(sorted(means, key=means.__getitem__, reverse=True)[:count])
    return best
