"""The tasks: right answers, and splits that share nothing."""

from __future__ import annotations

import random
from itertools import islice

import pytest
from agl_demo.calculator.tasks import EASY, STORIES, mistaken, problems, split_of, tasks, worked_out, written
from hypothesis import given, settings
from hypothesis import strategies as st

SEEDS = st.integers(min_value=0, max_value=10_000)


@settings(max_examples=20, deadline=None)
@given(first=SEEDS, second=SEEDS, easy=st.booleans())
def test_no_split_of_any_seed_shares_its_numbers_with_another_split_of_any_seed(first, second, easy):
    """What is in a test split is in nobody's training split, in no other words either."""
    numbers = {
        split: {
            tuple(sorted(problem.numbers))
            for seed in (first, second)
            for problem in islice(problems(seed, split, easy=easy), 60)
        }
        for split in ("train", "val", "test")
    }

    assert not numbers["train"] & numbers["val"]
    assert not numbers["train"] & numbers["test"]
    assert not numbers["val"] & numbers["test"]


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_tasks_are_as_many_as_asked_for_all_different_and_the_same_again(seed):
    """A seed names its data sets."""
    splits = tasks(seed, train=50, val=20, test=30)

    questions = [task["question"] for split in splits.values() for task in split]
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 50, "val": 20, "test": 30}
    assert len(set(questions)) == 100
    assert splits == tasks(seed, train=50, val=20, test=30)


def test_a_larger_split_starts_with_the_smaller_one():
    """More training tasks leave the first ones, and the other splits, as they were."""
    small, large = tasks(3, train=10), tasks(3, train=20)

    assert large["train"][:10] == small["train"]
    assert large["test"] == small["test"]


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, easy=st.booleans())
def test_answers_are_what_python_says_of_the_expression(seed, easy):
    """The answer, the expression and the numbers in the question agree."""
    for problem in islice(problems(seed, "train", easy=easy), 40):
        value = eval(problem.expression)  # noqa: S307 - an independent judge of our own expressions

        assert problem.answer == value > 0
        assert all(str(number) in problem.question for number in problem.numbers)


@settings(max_examples=200, deadline=None)
@given(
    operators=st.text("+-*/", min_size=1, max_size=3),
    numbers=st.lists(st.integers(min_value=0, max_value=99), min_size=4, max_size=4),
)
def test_parentheses_keep_the_order_from_left_to_right(operators, numbers):
    """What is written means what is worked out."""
    numbers = tuple(numbers[: len(operators) + 1])

    value = worked_out(operators, numbers)

    if value is not None:
        assert eval(written(operators, numbers)) == pytest.approx(value)  # noqa: S307 - as above


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_a_mistake_has_the_same_numbers_and_another_answer(seed):
    """A wrong demonstration is wrong in its operators alone."""
    rng = random.Random(seed)

    for problem in islice(problems(seed, "train"), 50):
        slip = mistaken(problem, rng)

        assert slip.numbers == problem.numbers
        assert slip.question == problem.question
        assert slip.answer != problem.answer


def test_every_story_occurs_in_every_split():
    """No kind of problem is kept for the test."""
    for easy, stories in ((False, STORIES), (True, EASY)):
        for split in ("train", "val", "test"):
            found = {p.operators for p in islice(problems(0, split, easy=easy), 300)}

            assert found == {story.operators for story in stories}


def test_easy_tasks_give_partial_credit_and_run_dry_rather_than_repeat():
    """There are only so many sums of two small numbers."""
    splits = tasks(0, train=100_000, val=5, test=5, easy=True)

    assert all(task["partial"] for task in splits["train"])
    assert len({task["question"] for task in splits["train"]}) == len(splits["train"]) < 100_000


def test_the_order_of_numbers_does_not_choose_the_split():
    """3 and 4 are where 4 and 3 are."""
    assert all(split_of((a, b)) == split_of((b, a)) for a in range(50) for b in range(50))
