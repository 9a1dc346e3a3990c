"""Textual gradients: what is wrong with a prompt, in a model's words (Pryzant et al. 2023, arXiv 2305.03495)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agl_apo._answers import plain
from agl_apo._candidate import Refused
from agl_apo._transcripts import short

if TYPE_CHECKING:
    from agl_apo._candidate import Candidate
    from agl_apo._costs import Purse
    from agl_core.run import Run

__all__ = ["LENSES", "Lens", "critique", "question"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lens:
    """A way to look at a prompt and its rollouts."""

    name: str
    form: Literal["chat", "spans"]
    """What is shown of the rollouts."""
    ask: str


LENSES = (
    Lens(
        name="changes",
        form="chat",
        ask="""\
Find out why the low rewards are low and what the high ones owe to the prompt. Then list the changes to the prompt that
you expect to raise the reward on tasks of this kind, the most valuable first. Each item is one change, says which words
of the prompt it is about, and can be checked by running the prompt again.
Leave out what the runs give no reason for.""",
    ),
    Lens(
        name="gaps",
        form="spans",
        ask="""\
The runs are shown as they were recorded, with nothing tidied. Name the three to five things that the prompt leaves open
and that cost reward: a constraint it never states, steps whose order it does not fix, a form of the answer that it does
not pin down. One bullet each, with the place in the runs where it shows.""",
    ),
    Lens(
        name="review",
        form="chat",
        ask="""\
Review the prompt against the runs under these headings, and skip a heading where all is well:
1. Structure: is it in an order that a model can follow, with nothing said twice?
2. Instructions: is each one definite, and do any two of them conflict?
3. Steering: does it say how far to think, when to stop, and what to do when unsure?
4. Input and output: is it clear what is given, and in which exact form the answer is wanted?
5. Limits: does it say what is out of scope, and what must not be done?
6. Economy: which words could go without loss?
7. Proof: which cases in the runs would tell a better prompt from this one?
Say under each what to change and why, in at most 300 words altogether.""",
    ),
)
"""The three kinds of v0.3's, by what they are shown and asked for."""


async def critique(
    run: Run,
    candidate: Candidate,
    prompt: str,
    shown: Callable[[str], Sequence[str]],
    *,
    model: str,
    temperature: float,
    tries: int = 3,
    longest: int = 6_000,
    purse: Purse | None = None,
) -> str | Refused:
    """What a model says is wrong with that prompt of the candidate's, given what its rollouts came to.

    `shown` has them as texts, in the form that is asked for, `chat` or `spans`. The way of looking is drawn. An answer
    that says nothing is asked for anew. Give `run` a scope of its own.
    """
    lens = run.rng("lens").choice(LENSES)
    runs = shown(lens.form)
    if not runs:
        return Refused(reason="nothing_to_criticise", detail="the infrastructure failed in all of its rollouts")
    asked = [{"role": "user", "content": question(lens, candidate, prompt, runs)}]
    for _ in range(tries):
        said = await run.ask(model, asked, label="critique", temperature=temperature)
        if purse is not None:
            purse.add(said)
        if text := plain(said.text):
            return short(text, longest)
    return Refused(reason="no_critique", detail=f"{model} answered nothing, {tries} times")


def question(lens: Lens, candidate: Candidate, prompt: str, runs: Sequence[str]) -> str:
    """What the model is asked; put together, never formatted, as prompts are full of braces."""
    others = [name for name in candidate.prompts if name != prompt]
    parts = [
        "An agent works with the prompt below. It was run on some tasks; each run earned a reward, and more is better.",
        f'The prompt under review, "{prompt}":\n<prompt>\n{candidate.prompts[prompt].template}\n</prompt>',
        *(
            f'It also has the prompt "{name}":\n<other>\n{candidate.prompts[name].template}\n</other>'
            for name in others
        ),
        *(f"<run number={n}>\n{text}\n</run>" for n, text in enumerate(runs, start=1)),
        lens.ask,
        "Write the criticism only. Do not write a new prompt.",
    ]
    return "\n\n".join(parts)
