"""The adapter `preferences`: two answers to the same words, of which one earned more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import combinations
from typing import ClassVar, Literal

from agl_core.adapter import Adapted, Adapter, Credit, Trace, words
from agl_core.errors import BadValue
from agl_messages._gathered import Gathering
from agl_messages._row import Pair, Transcript
from agl_messages._words import toolbox

__all__ = ["Preferences"]


@dataclass(frozen=True, slots=True)
class Preferences:
    """Traces into pairs of what an agent said to the same task, from the same prompt on, with the same tools.

    What a transcript earned is as in `messages`, and a tie is no preference. The prompt is all that was said before the
    policy spoke. Calls of judges and tools are not looked at. Every other call ends in a pair or in `dropped`, with the
    first of these reasons that holds:

    those of `messages` up to `no_reward` · `no_opponent` (nobody else was asked the same) · `same_words` (all said the
    same) · `tie` (no other earned less, or more, by `margin`) · `not_paired` (`best_vs_worst` took others, or there
    were `max_pairs` with a wider margin).
    """

    name: ClassVar[str] = "preferences"

    level: Literal["trajectory", "call"] = "trajectory"
    """`trajectory` compares conversations to their ends; `call` compares single answers."""
    _: KW_ONLY
    strategy: Literal["best_vs_worst", "all_pairs"] = "best_vs_worst"
    """One pair of each prompt, or each answer with each worse one."""
    margin: float = 0.0
    """How much more the better one must have earned; more at any rate."""
    max_pairs: int = 16
    """Pairs of one prompt at most: those with the widest margins."""
    agent: str | None = None
    """Keep the calls of this agent only."""
    succeeded: bool = False
    """Keep rollouts that came to a good end only."""
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
        if self.strategy not in {"best_vs_worst", "all_pairs"}:
            raise BadValue("strategy", self.strategy, why="it is 'best_vs_worst' or 'all_pairs'")
        if not self.margin >= 0:
            raise BadValue("margin", self.margin, why="the better one earned more, by zero or so much")
        if self.max_pairs < 1:
            raise BadValue("max_pairs", self.max_pairs, why="a prompt has one pair or more")

    def __call__(self, traces: Sequence[Trace]) -> Adapted[Pair]:
        """Rows in the order in which their prompts came, then by margin, the widest first."""
        gathered = self._gathering().of(traces)
        offers = [_Offer(index, one) for index, one in enumerate(gathered.transcripts)]
        reasons: dict[int, str] = {}
        asked: dict[Hashable, list[_Offer]] = defaultdict(list)
        for offer in offers:
            if offer.row.reward is None:
                reasons[offer.index] = "no_reward"
            else:
                asked[offer.question].append(offer)
        rows: list[Pair] = []
        for same in asked.values():
            pairs = self._pairs(same)
            rows += [_pair(better, worse) for better, worse in pairs]
            paired = {offer.index for pair in pairs for offer in pair}
            reasons |= {offer.index: self._why_not(offer, same) for offer in same if offer.index not in paired}
        return gathered.adapted(rows, [reasons.get(offer.index) for offer in offers])

    def _gathering(self) -> Gathering:
        return Gathering(
            level=self.level, agent=self.agent, succeeded=self.succeeded, reward=self.reward, credit=self.credit
        )

    def _pairs(self, offers: Sequence[_Offer]) -> list[tuple[_Offer, _Offer]]:
        """The better one first."""
        found = [pair for one, other in combinations(offers, 2) if (pair := self._compared(one, other))]
        # Sorting is stable: of equal margins those of the first that were asked.
        found.sort(key=lambda pair: pair[0].earned - pair[1].earned, reverse=True)
        return found[: 1 if self.strategy == "best_vs_worst" else self.max_pairs]

    def _compared(self, one: _Offer, other: _Offer) -> tuple[_Offer, _Offer] | None:
        better, worse = (one, other) if one.earned > other.earned else (other, one)
        is_wide = better.earned > worse.earned and better.earned - worse.earned >= self.margin
        return (better, worse) if is_wide and better.answer != worse.answer else None

    def _why_not(self, offer: _Offer, same: Iterable[_Offer]) -> str:
        others = [other for other in same if other.index != offer.index]
        if not others:
            return "no_opponent"
        if any(self._compared(offer, other) for other in others):
            return "not_paired"
        return "same_words" if all(other.answer == offer.answer for other in others) else "tie"


class _Offer:
    """A transcript that may win or lose."""

    def __init__(self, index: int, row: Transcript) -> None:
        self.index, self.row = index, row
        self.earned = row.reward or 0.0
        self.turn = row.trained.index(True)
        said = tuple(words(message) for message in row.messages)
        self.answer = said[self.turn :]
        self.question = (row.task_id, row.agent, toolbox(row.tools), said[: self.turn])


def _pair(better: _Offer, worse: _Offer) -> Pair:
    chosen, rejected = better.row, worse.row
    assert chosen.reward is not None
    assert rejected.reward is not None
    return Pair(
        task_id=chosen.task_id,
        agent=chosen.agent,
        prompt=chosen.messages[: better.turn],
        chosen=chosen.messages[better.turn :],
        chosen_trained=chosen.trained[better.turn :],
        rejected=rejected.messages[worse.turn :],
        rejected_trained=rejected.trained[worse.turn :],
        tools=chosen.tools,
        parallel_tool_calls=chosen.parallel_tool_calls,
        chosen_rollout=chosen.rollout_id,
        chosen_calls=chosen.call_ids,
        chosen_reward=chosen.reward,
        rejected_rollout=rejected.rollout_id,
        rejected_calls=rejected.call_ids,
        rejected_reward=rejected.reward,
    )
