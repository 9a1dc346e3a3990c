"""Where candidates come from: a parent is criticised on some tasks, edited, and what is new is published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from agl_apo._candidate import Candidate, Refused, content_of, published
from agl_apo._critique import critique
from agl_apo._edit import edit, note_rejected
from agl_apo._together import together
from agl_apo._transcripts import read
from agl_core.errors import ModelNotFound
from agl_core.resources import LLM

if TYPE_CHECKING:
    from agl_apo._costs import Purse
    from agl_apo._scores import Scoreboard, Task
    from agl_apo._search_config import SearchConfig
    from agl_core.resources import PromptTemplate
    from agl_core.run import Run

__all__ = ["Nursery"]


Shown = Callable[[str], Sequence[str]]
"""Rollouts as texts, in a form that a critic asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One critique and one edit of one prompt."""

    parent: Candidate
    prompt: str
    shown: Shown
    hand: Run
    """With counters of its own: branches grow side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """What came of a branch."""

    critique: str
    template: PromptTemplate


class Nursery:
    """Grows candidates, and knows all that there were."""

    def __init__(self, run: Run, config: SearchConfig, base: Candidate, board: Scoreboard, purse: Purse) -> None:
        self._run, self._config, self._base, self._board, self._purse = run, config, base, board, purse
        self.rejected: Counter[str] = Counter()
        """By reason, branches that came to nothing."""
        self.born = 0
        """Candidates beside the base."""
        self._known = {base.content}
        self._branches = 0

    def check_models(self) -> None:
        """Raise `ModelNotFound` for a critic that nobody serves, before anything is paid for."""
        served = [name for name, one in self._base.bundle.resources.items() if isinstance(one, LLM)]
        for model in (self._config.gradient_model, self._config.apply_edit_model):
            if ":" not in model and model not in served:
                raise ModelNotFound(model, known=served)

    @property
    def told(self) -> dict[str, Any]:
        """As it stands in `run.finished`."""
        return {"candidates": self.born, "rejected": dict(self.rejected)}

    async def expand(self, step: int, pairs: Sequence[tuple[Candidate, Sequence[Task]]]) -> list[Candidate | None]:
        """Run each parent on its tasks, where it was not, then `grow`."""
        wanted: dict[str, tuple[Candidate, list[Task]]] = {}
        for parent, tasks in pairs:
            wanted.setdefault(parent.name, (parent, []))[1].extend(tasks)
        await together(self._board.evaluate(parent, tasks, mode="train") for parent, tasks in wanted.values())
        return await self.grow(step, [(parent, partial(self._texts, parent, tasks)) for parent, tasks in pairs])

    async def grow(self, step: int, pairs: Sequence[tuple[Candidate, Shown]]) -> list[Candidate | None]:
        """Criticise each parent by what is shown of its rollouts, and edit it so.

        For each pair a new candidate, published with what made it; None where nothing came of it.
        """
        names = list(self._base.prompts)
        branches = [
            Branch(
                parent=parent,
                prompt=names[(self._branches + n) % len(names)],
                shown=shown,
                hand=self._run.scope(f"round-{step}.branch-{n + 1}"),
            )
            for n, (parent, shown) in enumerate(pairs)
        ]
        self._branches += len(branches)
        grown = await together(self._grow(branch) for branch in branches)
        # In the order of the branches, not of their answers: the same run names the same candidates.
        return [await self._settle(branch, made) for branch, made in zip(branches, grown, strict=True)]

    async def publish(self, parent: Candidate, changes: Mapping[str, PromptTemplate], *, why: str) -> Candidate | None:
        """The parent with these prompts in their places; None where there was a candidate like that."""
        content = content_of({**parent.prompts, **changes})
        if content in self._known:
            return None
        self._known.add(content)
        self.born += 1
        return await published(self._run, f"v{self.born}", parent, changes, why=why)

    async def _grow(self, branch: Branch) -> Grown | tuple[Refused, str]:
        """The edited prompt; else why there is none, and the critique, if it came to that."""
        config, name = self._config, branch.prompt
        shared: dict[str, Any] = {
            "temperature": config.diversity_temperature, "tries": config.tries, "purse": self._purse,
        }  # fmt: skip
        gradient = await critique(
            branch.hand, branch.parent, name, branch.shown,
            model=config.gradient_model, longest=config.longest_transcript, **shared,
        )  # fmt: skip
        if isinstance(gradient, Refused):
            return gradient, ""
        made = await edit(
            branch.hand, branch.parent, name, gradient,
            base=self._base.prompts[name], model=config.apply_edit_model, longest=config.longest_prompt, **shared,
        )  # fmt: skip
        return (made, gradient) if isinstance(made, Refused) else Grown(critique=gradient, template=made)

    def _texts(self, parent: Candidate, tasks: Sequence[Task], form: str) -> list[str]:
        """What came of these tasks, in that form."""
        scores = [self._board.score(parent, task, mode="train") for task in tasks]
        known = [score for score in scores if score is not None]
        return read(self._run, known, form=form, longest=self._config.longest_transcript)

    async def _settle(self, branch: Branch, made: Grown | tuple[Refused, str]) -> Candidate | None:
        """Publish what is new, and record why the rest is not."""
        parent, name = branch.parent, branch.prompt
        if isinstance(made, Grown):
            candidate = await self.publish(parent, {name: made.template}, why=made.critique)
            if candidate is not None:
                return candidate
            refusal = Refused(reason="duplicate", detail="there was a candidate with the same prompts")
            await note_rejected(branch.hand, parent, name, refusal, why=made.critique, text=made.template.template)
        else:
            refusal, gradient = made
            if not gradient:  # an edit that was refused was recorded as it came
                await note_rejected(branch.hand, parent, name, refusal)
        self.rejected[refusal.reason] += 1
        return None
