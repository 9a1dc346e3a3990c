"""Edits: a prompt, rewritten or touched up as a critique says, and held to what the base prompt's callers fill in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agl_apo._answers import MARKS, prompt_in
from agl_apo._candidate import Refused, refused
from agl_apo._transcripts import short
from agl_core.resources import PromptTemplate

if TYPE_CHECKING:
    from agl_apo._candidate import Candidate
    from agl_apo._costs import Purse
    from agl_core.asking import Said
    from agl_core.run import Run

__all__ = ["WAYS", "edit", "note_rejected", "parsed", "question"]

WAYS = {
    "rewrite": """\
Write the prompt anew so that the criticism no longer holds. You may change its structure, its wording and its length;
treat each point of the criticism as a requirement. What the prompt is for stays as it is.""",
    "touch up": """\
Take the one point of the criticism that promises most, and change as little of the prompt as it takes to meet that
point. Keep the tone, the order and about the length; leave every other sentence as it stands.""",
}
"""The two kinds of v0.3's."""


async def edit(
    run: Run,
    candidate: Candidate,
    prompt: str,
    critique: str,
    *,
    base: PromptTemplate,
    model: str,
    temperature: float,
    tries: int = 3,
    longest: int = 16_000,
    purse: Purse | None = None,
) -> PromptTemplate | Refused:
    """That prompt of the candidate's, changed by a model; it has the placeholders of `base`, no fewer and no others.

    An answer that is no such prompt is recorded as rejected, with why, and asked for anew; the last refusal is what
    comes of it when no try is left. Give `run` a scope of its own.
    """
    way = WAYS[run.rng("way").choice(sorted(WAYS))]
    current = candidate.prompts[prompt]
    chat: list[dict[str, Any]] = [{"role": "user", "content": question(way, current, base, critique)}]
    refusal = Refused(reason="no_template", detail="nobody was asked")
    for _ in range(tries):
        said = await run.ask(model, chat, label="edit", temperature=temperature)
        if purse is not None:
            purse.add(said)
        made = parsed(said, current, base, longest=longest)
        if isinstance(made, PromptTemplate):
            return made
        refusal = made
        await note_rejected(run, candidate, prompt, refusal, why=critique, text=said.text)
        if said.text.strip():  # an empty turn is refused by some providers
            answer = {"role": "assistant", "content": short(said.text, longest)}
            chat[1:] = [answer, {"role": "user", "content": _anew(refusal, base)}]
    return refusal


def parsed(said: Said, current: PromptTemplate, base: PromptTemplate, *, longest: int) -> PromptTemplate | Refused:
    """The prompt in an answer, or why it is none."""
    if said.finish_reason == "length":
        return Refused(reason="cut_off", detail="the answer ends at the length a model may speak")
    # Nothing tells a bare prompt without placeholders from an apology.
    text = prompt_in(said.text, is_bare=bool(base.placeholders))
    if text is None:
        return Refused(reason="no_template", detail=f"there is no prompt between {' and '.join(MARKS)} in it")
    made = PromptTemplate(template=text, engine=current.engine)
    refusal = refused(made, base, longest=longest)
    if refusal is None and made.template.strip() == current.template.strip():
        return Refused(reason="unchanged", detail="it is the prompt as it was")
    return refusal or made


async def note_rejected(
    run: Run, candidate: Candidate, prompt: str, refusal: Refused, *, why: str = "", text: str = ""
) -> None:
    """Record what did not become a candidate: the parent, the critique, the text, and the reason."""
    await run.step(
        "candidate.rejected",
        _noted,
        {
            "parent": f"{candidate.bundle.resources_id}@{candidate.bundle.version}",
            "prompt": prompt,
            "reason": refusal.reason,
            "detail": refusal.detail,
            "why": why,
            "text": text,
        },
    )


def question(way: str, current: PromptTemplate, base: PromptTemplate, critique: str) -> str:
    """What the model is asked; put together, never formatted, as prompts are full of braces."""
    return "\n\n".join(
        [
            "A prompt of an agent was criticised, and you improve it.",
            f"The prompt:\n<prompt>\n{current.template}\n</prompt>",
            f"The criticism:\n<criticism>\n{critique}\n</criticism>",
            way,
            _wanted(base),
        ]
    )


def _wanted(base: PromptTemplate) -> str:
    first, last = MARKS
    names = sorted(base.placeholders)
    shown = ", ".join(("{{ " + name + " }}") if base.engine == "jinja" else ("{" + name + "}") for name in names)
    holes = (
        f"It is a template. It must contain each of these placeholders, spelled so, and no other: {shown}."
        if names
        else "It has no placeholders, and must get none."
    )
    return f"{holes} Answer with the whole new prompt between {first} and {last}, and nothing else."


def _anew(refusal: Refused, base: PromptTemplate) -> str:
    return f"That cannot be used: {refusal.detail}. {_wanted(base)}"


def _noted(fact: dict[str, Any]) -> dict[str, Any]:
    return fact
