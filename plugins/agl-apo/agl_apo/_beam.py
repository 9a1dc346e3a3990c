"""The beam: who is criticised, what comes of it, who goes on, and whether another round can be paid for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from agl_apo._candidate import Candidate, Refused, content_of, published
from agl_apo._costs import Work
from agl_apo._critique import critique
from agl_apo._edit import edit, note_rejected
from agl_apo._together import together
from agl_core.errors import ModelNotFound
from agl_core.resources import LLM

if TYPE_CHECKING:
    from agl_apo._config import ApoConfig
    from agl_apo._costs import Purse
    from agl_apo._scores import Scoreboard, Task
    from agl_core.resources import PromptTemplate
    from agl_core.run import Run

__all__ = ["Beam", "Branch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One critique and one edit of one prompt."""

    parent: Candidate
    prompt: str
    tasks: Sequence[Task]
    hand: Run
    """With counters of its own: branches grow side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """What came of a branch."""

    critique: str
    template: PromptTemplate


class Beam:
    """The candidates that are held, and what became of all that there were."""

    def __init__(self, run: Run, config: ApoConfig, base: Candidate, board: Scoreboard, purse: Purse) -> None:
        self._run, self._config, self._base, self._board, self._purse = run, config, base, board, purse
        self.held: list[Candidate] = [base]
        """The best first."""
        self.rejected: Counter[str] = Counter()
        """By reason, branches that came to nothing."""
        self.born = 0
        """Candidates beside the base."""
        self.rounds = 0
        self._known = {base.content}
        self._branches = 0

    def check_models(self) -> None:
        """Raise `ModelNotFound` for a critic that nobody serves, before anything is paid for."""
        served = [name for name, one in self._base.bundle.resources.items() if isinstance(one, LLM)]
        for model in (self._config.gradient_model, self._config.apply_edit_model):
            if ":" not in model and model not in served:
                raise ModelNotFound(model, known=served)

    def parents(self) -> list[Candidate]:
        """Whom the round criticises, a place for each branch: all that are held, in turns; a full beam is shuffled."""
        width, held = self._config.beam_width, self.held
        chosen = [held[n % len(held)] for n in range(width)]
        if len(held) == width:
            self._run.rng("parents").shuffle(chosen)
        return [parent for parent in chosen for _ in range(self._config.branch_factor)]

    async def expand(self, step: int, pairs: Sequence[tuple[Candidate, Sequence[Task]]]) -> list[Candidate]:
        """Criticise each parent on its tasks and edit it so: the new candidates, published with what made them."""
        names = list(self._base.prompts)
        branches = [
            Branch(
                parent=parent,
                prompt=names[(self._branches + n) % len(names)],
                tasks=tasks,
                hand=self._run.scope(f"round-{step}.branch-{n + 1}"),
            )
            for n, (parent, tasks) in enumerate(pairs)
        ]
        self._branches += len(branches)
        wanted: dict[str, tuple[Candidate, list[Task]]] = {}
        for branch in branches:
            wanted.setdefault(branch.parent.name, (branch.parent, []))[1].extend(branch.tasks)
        await together(self._board.evaluate(parent, tasks, mode="train") for parent, tasks in wanted.values())
        grown = await together(self._grow(branch) for branch in branches)
        # In the order of the branches, not of their answers: the same run names the same candidates.
        found = [await self._settle(branch, made) for branch, made in zip(branches, grown, strict=True)]
        return [candidate for candidate in found if candidate is not None]

    async def _grow(self, branch: Branch) -> Grown | tuple[Refused, str]:
        """The edited prompt; else why there is none, and the critique, if it came to that."""
        config, name = self._config, branch.prompt
        scores = [self._board.score(branch.parent, task, mode="train") for task in branch.tasks]
        shared: dict[str, Any] = {
            "temperature": config.diversity_temperature, "tries": config.tries, "purse": self._purse,
        }  # fmt: skip
        gradient = await critique(
            branch.hand, branch.parent, name, [score for score in scores if score is not None],
            model=config.gradient_model, longest=config.longest_transcript, **shared,
        )  # fmt: skip
        if isinstance(gradient, Refused):
            return gradient, ""
        made = await edit(
            branch.hand, branch.parent, name, gradient,
            base=self._base.prompts[name], model=config.apply_edit_model, longest=config.longest_prompt, **shared,
        )  # fmt: skip
        return (made, gradient) if isinstance(made, Refused) else Grown(critique=gradient, template=made)

    async def _settle(self, branch: Branch, made: Grown | tuple[Refused, str]) -> Candidate | None:
        """Publish what is new, and record why the rest is not."""
        parent, name = branch.parent, branch.prompt
        if isinstance(made, Grown):
            content = content_of(parent.edited(name, made.template))
            if content not in self._known:
                self._known.add(content)
                self.born += 1
                changes = {name: made.template}
                return await published(self._run, f"v{self.born}", parent, changes, why=made.critique)
            refusal = Refused(reason="duplicate", detail="there was a candidate with the same prompts")
            await note_rejected(branch.hand, parent, name, refusal, why=made.critique, text=made.template.template)
        else:
            refusal, gradient = made
            if not gradient:  # an edit that was refused was recorded as it came
                await note_rejected(branch.hand, parent, name, refusal)
        self.rejected[refusal.reason] += 1
        return None

    async def select(self, step: int, born: Sequence[Candidate], batch: Sequence[Task]) -> Candidate:
        """Hold those that gain most on the base, task by task of the batch; the first of them. Recorded with why."""
        compared = [(one, self._board.pairs(self._base, one, batch)) for one in (*self.held, *born)]
        fit = [(one, pairs) for one, pairs in compared if pairs.share >= self._config.min_scored]
        fit.sort(key=lambda entry: -entry[1].gain)  # stable: of equals, the older one
        self.held = [one for one, _ in fit[: self._config.beam_width]] or [self._base]
        self.rounds = step
        held = {one.name for one in self.held}
        standings = [
            {
                "candidate": one.name,
                "bundle": f"{one.bundle.resources_id}@{one.bundle.version}",
                "gain": pairs.gain,
                "mean": fmean(pairs.after) if pairs.after else None,
                "scored": len(pairs.tasks),
                "of": pairs.of,
                "lost": dict(self._board.lost(one, batch)),
                "outcome": "held" if one.name in held else "dropped" if pairs.share >= self._config.min_scored
                else "too_few_scored",
            }
            for one, pairs in compared
        ]  # fmt: skip
        await self._run.step("candidates.compared", _noted, standings)
        return self.held[0]

    async def stops(self, step: int, batch: Sequence[Task], val: Sequence[Task]) -> str | None:
        """Why the round is not begun; None when it is. Nothing is begun that would leave too little for the end."""
        await self._purse.look()
        if not await self._run.goes_on():
            return "somebody asked to stop"

        def not_covered() -> str | None:
            work = self.round(batch, val) + self.examination()
            if self._purse.covers(work):
                return None
            cost = self._purse.after(work)
            told = f"{cost.calls} calls, {cost.tokens} tokens, {cost.usd:.4f} usd"
            return f"the budget does not cover round {step} and the examination: all would come to {told}"

        # Recorded: a run that is resumed with a larger budget keeps to what it began to examine.
        told: str | None = await self._run.step("round.covered", not_covered)
        return told

    def round(self, batch: Sequence[Task], val: Sequence[Task]) -> Work:
        """What a round takes at most, as far as it can be told: every branch bears, nothing is asked for anew."""
        config = self._config
        branches = config.beam_width * config.branch_factor
        criticised = min(branches * config.gradient_batch_size, len(self.held) * len(self._run.train))
        seen = sum(self._board.unseen(one, batch) for one in self.held)
        rest = max(0, len(val) - len(batch))
        return Work(rollouts=config.repeat * (criticised + seen + branches * len(batch) + rest), asks=2 * branches)

    def examination(self) -> Work:
        """What the end takes."""
        return Work(rollouts=2 * self._config.repeat * self._run.test_size)

    async def log(self, step: int, best: Candidate, born: Sequence[Candidate], val: Sequence[Task]) -> None:
        """Numbers of the round, for people."""
        spent = await self._purse.look()
        rewards = self._board.rewards(best, val)
        self._run.log(
            step=step,
            **{
                "val/reward": fmean(rewards.values()) if rewards else 0.0,
                "val/gain": self._board.pairs(self._base, best, val).gain,
                "candidates": len(born),
                **{f"rejected/{reason}": count for reason, count in sorted(self.rejected.items())},
                "spent/calls": spent.calls,
                "spent/tokens": spent.tokens,
                "spent/usd": spent.usd,
            },
        )


def _noted(fact: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return fact
