"""Arithmetic of two small numbers, as reasoning-gym asks for it, scored by reasoning-gym's own scorer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import agl_core as agl
from agl_core.errors import MissingExtra
from examples.learning.asking import said
from examples.learning.splits import Split, split_of

__all__ = ["SYSTEM", "arithmetic_agent", "prompted_agent", "score", "tasks"]

SYSTEM = "Reply with only the number."
_GENERATOR = "basic_arithmetic"
_SETTINGS: Mapping[str, Any] = {
    "min_terms": 2,
    "max_terms": 2,
    "min_digits": 1,
    "max_digits": 1,
    "operators": ("+", "-", "*"),
    "allow_parentheses": False,
    "allow_negation": False,
}
_DRAWN = 4000
"""Enough for each of the 363 questions that there are to come at least once."""


@agl.rollout
async def arithmetic_agent(task: Mapping[str, Any], llm: agl.LLM) -> float:
    """Ask once; the last number of the reply is the answer."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": task["question"]}]
    return score(task, await said(llm, messages))


@agl.rollout
async def prompted_agent(task: Mapping[str, Any], policy: agl.LLM, prompt_template: agl.PromptTemplate) -> float:
    """The same, in the words of a prompt that is a resource, and of the model `policy`: there is a critic beside it."""
    asked = prompt_template.format(question=task["question"])
    return score(task, await said(policy, [{"role": "user", "content": asked}]))


def score(task: Mapping[str, Any], reply: str) -> float:
    """What reasoning-gym gives the last number of the reply: 1 for the answer, less where that is a part of it."""
    # "4 - 1 = 3" has a minus between blanks, which is no sign.
    numbers = re.findall(r"(?<!\d)-?\d+", re.sub(r"-\s", " ", reply))
    return float(_generator().score_answer(numbers[-1] if numbers else "", task))


def tasks(seed: int, **counts: int) -> dict[Split, list[dict[str, Any]]]:
    """Up to that many questions for each split, none of them twice, with the answers as reasoning-gym has them.

    Two numbers are in one split only, in whatever order and under whatever sign.
    """
    found: dict[Split, dict[str, dict[str, Any]]] = {"train": {}, "val": {}, "test": {}}
    for entry in _generator(seed):
        question = entry["question"]
        of_split = found[split_of(repr(sorted(re.findall(r"\d+", question))))]
        of_split.setdefault(question, {"question": question, "answer": entry["answer"]})
    return {split: list(of_split.values())[: counts.get(split, 0)] for split, of_split in found.items()}


@cache
def _generator(seed: int = 0) -> Any:
    try:
        import reasoning_gym
    except ModuleNotFoundError:
        raise MissingExtra("reasoning_gym", install="pip install reasoning-gym==0.1.25") from None
    # Its entries are seeded one by one, each by one more than the last: neighbours would draw nearly the same.
    return reasoning_gym.create_dataset(_GENERATOR, seed=seed * _DRAWN, size=_DRAWN, **_SETTINGS)
