"""Arithmetic word tasks, generated from a seed, in splits that share nothing.

A problem belongs to one split for ever: the set of numbers in it is hashed, and the hash names the split. So no seed
can put a problem of the test split among the tasks or the demonstrations that a model learns from, in no other words
either.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from typing import Any, Literal

__all__ = ["EASY", "STORIES", "Problem", "Split", "Story", "mistaken", "problems", "split_of", "tasks"]

Split = Literal["train", "val", "test"]
Task = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A sentence with numbers in it, and the operators that solve it, applied from left to right to a, b and c."""

    text: str
    operators: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One story with its numbers filled in."""

    question: str
    operators: str
    numbers: tuple[int, ...]

    @property
    def expression(self) -> str:
        """What a careful person would type into a calculator."""
        return written(self.operators, self.numbers)

    @property
    def answer(self) -> int:
        """What the calculator says to it."""
        value = worked_out(self.operators, self.numbers)
        assert value is not None, self.expression
        return value


STORIES = (
    Story(text="{who} has {a} {things} and gets {b} more. How many now?", operators="+"),
    Story(text="{who} sold {a} {things} on Monday and {b} on Tuesday. How many in all?", operators="+"),
    Story(text="After {who} ate {b} of {a} {things}, how many are left?", operators="-"),
    Story(text="{who} has {a} {things} and gives away {b}. How many remain?", operators="-"),
    Story(text="{who} has {b} {things} but needs {a}. How many are missing?", operators="-"),
    Story(text="{who} fills {a} boxes with {b} {things} each. How many {things}?", operators="*"),
    Story(text="Each of {b} friends brings {who} {a} {things}. How many {things}?", operators="*"),
    Story(text="{who} shares {a} {things} among {b} friends. How many does each get?", operators="/"),
    Story(text="{who} packs {a} {things}, {b} to a bag. How many bags?", operators="/"),
    Story(text="{who} buys {a} bags of {b} {things} and finds {c} more. How many {things}?", operators="*+"),
    Story(text="{who} had {a} {things}, lost {b}, then found {c}. How many now?", operators="-+"),
    Story(
        text="{who} and a friend put {a} and {b} {things} together and fill {c} equal bags. How many in a bag?",
        operators="+/",
    ),
)
EASY = (
    Story(text="What is {a} plus {b}?", operators="+"),
    Story(text="What is {a} minus {b}?", operators="-"),
    Story(text="What is {a} times {b}?", operators="*"),
)

_PEOPLE = ("Ada", "Alan", "Emmy", "Grace", "Kurt", "Mary", "Noam", "Rosa", "Sofia", "Tim")
_THINGS = ("apples", "books", "cards", "coins", "eggs", "marbles", "pens", "plums", "shells", "stamps")


def tasks(
    seed: int, *, train: int = 256, val: int = 32, test: int = 200, easy: bool = False
) -> dict[Split, list[Task]]:
    """That many different tasks for each split: `question`, `answer`, and `partial` where partial credit is given."""
    wanted: dict[Split, int] = {"train": train, "val": val, "test": test}
    extra = {"partial": True} if easy else {}
    return {
        split: [
            {"question": problem.question, "answer": problem.answer} | extra
            for problem in islice(problems(seed, split, easy=easy), count)
        ]
        for split, count in wanted.items()
    }


def problems(seed: int, split: Split, *, easy: bool = False) -> Iterator[Problem]:
    """Different problems of one split, in an order the seed decides, until the stories run dry."""
    rng = random.Random(f"{seed}/{split}/{easy}")
    stories, largest = (EASY, 20) if easy else (STORIES, 60)
    seen: set[str] = set()
    barren = 0
    while barren < 10_000:
        barren += 1
        story = rng.choice(stories)
        numbers = _numbers(story.operators, largest, rng)
        if split_of(numbers) != split:
            continue
        question = story.text.format(
            **dict(zip("abc", numbers, strict=False)), who=rng.choice(_PEOPLE), things=rng.choice(_THINGS)
        )
        if question not in seen:
            seen.add(question)
            barren = 0
            yield Problem(question=question, operators=story.operators, numbers=numbers)


def split_of(numbers: tuple[int, ...]) -> Split:
    """The one split where these numbers may appear, whatever story and order: four fifths are for training."""
    match blake2b(repr(sorted(numbers)).encode()).digest()[0] % 10:
        case 0:
            return "val"
        case 1:
            return "test"
        case _:
            return "train"


def mistaken(problem: Problem, rng: random.Random) -> Problem:
    """The same question as a hurried reader takes it: one operator is wrong, and so is the answer.

    Where no wrong operator gives a whole number below a thousand, the problem comes back as it is.
    """
    readings = [
        replace(problem, operators=operators)
        for operators in _slips(problem.operators)
        if worked_out(operators, problem.numbers) not in (None, problem.answer)
    ]
    return rng.choice(readings) if readings else problem


def written(operators: str, numbers: tuple[int, ...]) -> str:
    """The expression as text, with parentheses only where the order of operations asks for them."""
    first, *rest = numbers
    text, loose = str(first), False
    for operator, number in zip(operators, rest, strict=True):
        text = f"({text}) {operator} {number}" if loose and operator in "*/" else f"{text} {operator} {number}"
        loose = operator in "+-"
    return text


def worked_out(operators: str, numbers: tuple[int, ...]) -> int | None:
    """The value from left to right, or None as soon as it is not whole or has more than three digits."""
    value, *rest = numbers
    for operator, number in zip(operators, rest, strict=True):
        if operator == "/" and (number == 0 or value % number):
            return None
        value = _OPERATIONS[operator](value, number)
        if abs(value) > 999:
            return None
    return value


_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left // right,
}


def _slips(operators: str) -> Iterator[str]:
    """The operators with one of them wrong, in every way."""
    for place, right in enumerate(operators):
        yield from (operators[:place] + wrong + operators[place + 1 :] for wrong in "+-*/" if wrong != right)


def _numbers(operators: str, largest: int, rng: random.Random) -> tuple[int, ...]:
    """Numbers that suit the operators: every result on the way is whole and above zero."""
    few = min(largest, 12)
    while True:
        first, second = rng.randint(2, largest), rng.randint(2, largest)
        match operators[0]:
            case "*":
                first, second = rng.randint(2, min(largest, 20)), rng.randint(2, few)
            case "/":
                second = rng.randint(2, few)
                first = second * rng.randint(2, 9)
        numbers = (first, second, *(rng.randint(2, few) for _ in operators[1:]))
        if all((worked_out(operators[:end], numbers[: end + 1]) or 0) > 0 for end in range(1, len(operators) + 1)):
            return numbers
