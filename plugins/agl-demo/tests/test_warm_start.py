"""The warm start: honest demonstrations, and a loss that falls."""

from __future__ import annotations

import json
import re
from itertools import islice

import pytest
from agl_demo import _tiny, _warm_start
from agl_demo._warm_start import Recipe, demonstrations, warm_start
from agl_demo.calculator.tasks import split_of, worked_out

QUICK = {"steps": 30, "batch": 16, "demonstrations": 200, "warm_up": 5}


def test_demonstrations_keep_away_from_the_other_splits():
    """No number set of a validation or test task is ever shown."""
    for transcript in demonstrations(0, Recipe(demonstrations=500)):
        numbers = tuple(map(int, re.findall(r"\d+", transcript[0]["content"])))

        assert split_of(numbers) == "train"


def test_the_stated_share_of_demonstrations_is_wrong():
    """The docstring's figure is the data's."""
    from agl_demo.calculator.tasks import problems

    recipe = Recipe(demonstrations=2000, mistakes=0.3)
    shown = list(demonstrations(5, recipe))

    right = [problem.answer for problem in islice(problems(5, "train"), 2000)]
    wrong = sum(int(transcript[-1]["content"]) != answer for transcript, answer in zip(shown, right, strict=True))
    assert wrong / 2000 == pytest.approx(0.3, abs=0.04)


def test_a_demonstration_says_what_the_calculator_would_say():
    """Tool results are never made up, not even for a wrong expression."""
    pytest.importorskip("openai")
    from agl_demo.calculator.agent import TOOLS, calculator

    for transcript in demonstrations(2, Recipe(demonstrations=300)):
        typed = json.loads(transcript[1]["tool_calls"][0]["function"]["arguments"])["expression"]

        assert transcript[2]["content"] == transcript[3]["content"] == calculator(typed)
    names = [tool["function"]["name"] for tool in TOOLS]
    assert names == [tool["function"]["name"] for tool in _warm_start._TOOLS]
    assert names == [tool["function"]["name"] for tool in _tiny._TOOLS]


def test_only_what_the_assistant_says_is_learned(words):
    """The mask covers both replies, each with its end-of-turn token, and nothing else."""
    for ids, said in _warm_start._examples(words, list(demonstrations(1, Recipe(demonstrations=20)))):
        learned = words.decode([token for token, mine in zip(ids, said, strict=True) if mine])

        assert re.fullmatch(r"<tool_call>.*</tool_call><\|im_end\|>-?\d+<\|im_end\|>", learned)


def test_the_loss_falls_and_the_folder_is_complete(folder, tmp_path):
    """A few steps teach something, and the result loads like what it came from."""
    heard = []

    metrics = warm_start(folder, tmp_path / "warm", seed=0, progress=lambda *said: heard.append(said), **QUICK)

    assert metrics["loss_last"] < 0.7 * metrics["loss_first"]
    assert [step for step, _ in heard] == list(range(1, 31))
    assert {path.name for path in folder.iterdir()} <= {path.name for path in (tmp_path / "warm").iterdir()}


def test_the_same_seed_learns_the_same_weights(folder, tmp_path):
    """Which is what lets a killed run start again from nothing."""
    short = {**QUICK, "steps": 3}
    for name, seed in (("one", 4), ("two", 4), ("other", 5)):
        warm_start(folder, tmp_path / name, seed=seed, **short)

    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two", "other")]
    assert weights[0] == weights[1] != weights[2]


def test_wrong_operators_are_worked_out_like_right_ones():
    """A slip may go below zero: the demonstration says so."""
    assert worked_out("-", (3, 5)) == -2
