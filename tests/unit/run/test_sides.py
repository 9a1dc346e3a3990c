"""A movement that is another today is told with both sides, the first place where they differ, and where it is made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.errors import ReplayDiverged
from agl_core.run._sides import differences
from agl_core.testing import ScriptedModel
from agl_core.trainer import Trainer, check_history


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


@agl.rollout
def idle(task: Any) -> float:
    """Asks nobody."""
    return 1.0


def join(first: str, others: list[int], mark: str) -> str:
    """An effect."""
    return f"{first}{others}{mark}"


class Moving:
    """One movement of a kind, and then it dies."""

    name = "moving"

    def __init__(self, kind: str, text: str, *, dies: bool) -> None:
        self.kind, self.text, self.dies = kind, text, dies

    async def run(self, run: agl.Run) -> None:
        """As it is told."""
        match self.kind:
            case "step":
                await run.step("join", join, "same", [1, 2], self.text)
            case "ask":
                await run.ask("critic", [{"role": "user", "content": self.text}])
            case "publish":
                await run.publish({"prompt": agl.PromptTemplate(template=self.text)})
            case "rollouts":
                await run.rollouts([{"n": 0}, {"n": 1, "text": self.text}])
            case "sampling":
                await run.rollouts([{"n": 0}], sampling={"stop": [self.text]})
        if self.dies:
            raise KeyError("gone")


def told(path: Path, kind: str) -> ReplayDiverged:
    """What a run is told that asks for `new` words where it asked for `old` ones."""
    with ScriptedModel("yes") as model:
        models = {"critic": f"{model.url}#policy"} if kind == "ask" else {}
        trainer = Trainer(
            algorithm=Moving(kind, "the old words", dies=True), store=str(path), preflight=False, models=models
        )
        with pytest.raises(KeyError):
            trainer.fit(idle, [{"n": 0}])
    (checked,) = check_history(path, algorithm=Moving(kind, "the new words", dies=False))
    assert checked.error is not None
    return checked.error


KINDS = {
    "step": "arguments[2]",
    "ask": "messages[0].content",
    "publish": "prompt.template",
    "rollouts": "rollout 2.task.text",
    "sampling": "metadata.sampling.stop[0]",
}


@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_and_the_place_in_the_code_are_told(tmp_path, kind):
    """Not hashes: words, by their path into what was asked for, and the line that asks."""
    error = told(tmp_path / "log.db", kind)

    first = error.difference[0]
    assert first["at"] == KINDS[kind]
    assert (first["recorded"], first["asked"]) == ("the old words", "the new words")
    assert re.match(r".*test_sides\.py:\d+ in Moving\.run$", error.where)
    line = int(error.where.rpartition(":")[2].partition(" ")[0])
    assert "await run." in Path(__file__).read_text().splitlines()[line - 1]
    assert error.by.endswith("test_sides:Moving" if kind in {"step", "ask"} else "agl-core")
    assert f"{KINDS[kind]} was 'the old words' and is 'the new words' now" in str(error)
    assert str(error.position) in str(error)


def test_a_run_that_is_resumed_is_told_the_same(tmp_path):
    """It fails with that, before anything is done."""
    told(tmp_path / "log.db", "step")
    with agl.open_log(str(tmp_path / "log.db"), readonly=True) as log:
        ((run_id,),) = log.rows("select run_id from runs")
    trainer = Trainer(
        algorithm=Moving("step", "the new words", dies=False), store=str(tmp_path / "log.db"), preflight=False
    )

    with pytest.raises(ReplayDiverged, match=r"in Moving\.run: arguments\[2\] was 'the old words'"):
        trainer.fit(idle, [{"n": 0}], resume=run_id)


def test_another_function_is_told_by_its_name(tmp_path):
    """As an argument is."""
    recorded = {"function": "picker:vary", "arguments": ["a"]}

    found = list(differences(recorded, {**recorded, "function": "picker:edit"}))

    assert found == [{"at": "function", "recorded": "picker:vary", "asked": "picker:edit"}]


@pytest.mark.parametrize(
    ("recorded", "asked", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 1, "b": None}, [{"at": "b", "asked": None}]),
        ([1, 2, 3], [1, 3], [{"at": "[1]", "recorded": 2, "asked": 3}, {"at": "[2]", "recorded": 3}]),
        ({"a": [{"b": True}]}, {"a": [{"b": 1}]}, [{"at": "a[0].b", "recorded": True, "asked": 1}]),
        (["x"], "x", [{"at": "", "recorded": '["x"]', "asked": "x"}]),
    ],
)
def test_sides_differ_where_they_do(recorded, asked, found):
    """In order; a side that has nothing there is left out."""
    assert list(differences(recorded, asked)) == found


def test_long_texts_are_shown_from_where_they_part():
    """A prompt of a thousand words says little."""
    common = "word " * 200

    (found,) = differences(common + "and then", common + "but then")

    assert found["recorded"].endswith("and then")
    assert len(found["recorded"]) < 80


def test_an_effect_is_kept_with_what_is_short_of_its_arguments(tmp_path):
    """Of a long one, its hash and its length."""
    with pytest.raises(KeyError):
        Trainer(algorithm=Moving("step", "x" * 5000, dies=True), store=str(tmp_path / "log.db"), preflight=False).fit(
            idle, [{"n": 0}]
        )

    with agl.open_log(str(tmp_path / "log.db"), readonly=True) as log:
        (event,) = [record.event for record in log.read(types=["step.recorded"])]
    assert event.function.endswith("test_sides:join")
    assert event.arguments[:2] == ("same", [1, 2])
    assert event.arguments[2]["bytes"] == 5002
