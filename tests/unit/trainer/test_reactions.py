"""Reactions in a run: what they decide takes effect, is in the log once, and is the same however often it is killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

import agl_core as agl
from agl_core.algorithm import PromoteBest, StopEarly
from agl_core.errors import BadValue, RunNotImportable
from agl_core.events import MetricsLogged, NoteTaken, PluginFailed, RunStarted, RunStopAsked
from agl_core.record import Draft, Record
from agl_core.testing._algorithm_fixtures import spread
from agl_core.testing._algorithm_images import RUN
from agl_core.testing._algorithm_lives import Lives
from agl_core.trainer import Trainer, resume

WORTH = {"a": 0.2, "b": 0.6, "c": 0.6, "d": 0.4, "e": 0.9}


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


@agl.rollout
def prompted(task: dict[str, Any], prompt_template: agl.PromptTemplate) -> float:
    """Earns what its prompt is worth."""
    return WORTH[prompt_template.template]


class Trying:
    """Tries one prompt a round."""

    name = "trying"

    async def run(self, run: agl.Run) -> None:
        """Until somebody asks it to stop."""
        for step, prompt in enumerate(WORTH):
            if not await run.goes_on():
                break
            bundle = await run.publish({"prompt_template": agl.PromptTemplate(template=prompt)})
            outcomes = await run.rollouts(run.val, resources=bundle, mode="val", label="try")
            run.log(step=step, **{"val/reward": sum(outcome.reward or 0 for outcome in outcomes) / len(outcomes)})
            run.result["tried"] = step + 1


@pytest.fixture
def lives(tmp_path: Path) -> Callable[..., Lives]:
    """Runs with reactions."""

    def made(*reactions: Any) -> Lives:
        tasks = {"train": [{"n": 0}], "val": [{"n": 1}, {"n": 2}]}
        return Lives(Trying, prompted, tasks, {"reactions": list(reactions), "preflight": False}, tmp_path)

    return made


def decisions(path: Path) -> list[tuple[str, str, str]]:
    """What reactions wrote: by whom, what, and the prompt that it is about, or why."""
    found = []
    with agl.open_log(str(path), readonly=True) as log:
        for record in log.read():
            if (record.key or "").startswith("reaction/"):
                event: Any = record.event
                about = (
                    log.rows(
                        "select json_extract(data, '$.resources.prompt_template.template') from events "
                        "where type = 'resources.published' and stream = ? "
                        "and json_extract(data, '$.version') = ?",
                        (record.stream, event.version),
                    )[0][0]
                    if record.stream.startswith("resources/")
                    else getattr(event, "why", "")
                )
                found.append((record.actor, event.type, about))
    return found


STOPPED = ("stop_early 1", "run.stop_asked", "val/reward gained nothing in 2 readings: 0.6 at step 1 is still the best")
BEST = [("promote_best 1", "resources.promoted", prompt) for prompt in "ab"]


def test_a_run_is_stopped_early(lives):
    """At the head of the round after the reading that was one too many: the last prompt is not tried."""
    story = lives("promote_best", {"name": "stop_early", "patience": 2}).whole()

    assert story.result == {"tried": 4}
    assert sorted(decisions(story.path)) == [*BEST, STOPPED]
    assert story.faults == []


def test_what_the_last_round_decides_is_there_when_the_run_is_finished(lives):
    """The last prompt is the best."""
    story = lives("promote_best").whole()

    assert [about for *_, about in decisions(story.path)] == ["a", "b", "e"]
    with agl.open_log(str(story.path), readonly=True) as log:
        types = [record.event.type for record in log.read(types=["resources.promoted", "run.finished"])]
    assert types == [*["resources.promoted"] * 3, "run.finished"]


def test_killed_anywhere_it_decides_the_same(lives):
    """Whether a decision was written before the kill or not: in the end it is there, once."""
    made = lives(PromoteBest(), StopEarly(patience=2))
    whole = made.whole()

    for image in spread(made.images(), 8):
        resumed = made.resumed(image, f"killed-{image.head}")

        assert resumed.told() == whole.told(), image.before
        assert sorted(decisions(resumed.path)) == sorted(decisions(whole.path)), image.before


def test_they_are_found_again_by_a_resume(tmp_path, lives):
    """By name and options, which stand in `run.started`; nobody has to name them."""
    made = lives("promote_best", StopEarly(patience=2))
    made.whole()
    path = made.images()[2].path

    ended = resume(RUN, log=str(path))

    with agl.open_log(str(path), readonly=True) as log:
        (started,) = [record.event for record in log.read(types=[RunStarted.type])]
    assert isinstance(started, RunStarted)
    assert {name: reaction.config for name, reaction in started.config.reactions.items()} == {
        "promote_best": {"mode": "val", "metric": "val/reward"},
        "stop_early": {"metric": "val/reward", "patience": 2, "min_delta": 0.0, "falls": False},
    }
    assert ended.result == {"tried": 4}


def test_two_of_a_name_are_told_apart(lives):
    """The second has a number; what each decides stands under its own name."""
    story = lives(StopEarly(metric="no/such"), StopEarly(patience=2)).whole()

    with agl.open_log(str(story.path), readonly=True) as log:
        (asked,) = log.read(types=[RunStopAsked.type])
    assert asked.key.startswith(f"reaction/{RUN}/stop_early-2/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """Notes every second reading; raises at one."""

    name: ClassVar[str] = "counting"
    version: ClassVar[str] = "1"
    hears: ClassVar[tuple[type[Any], ...]] = (MetricsLogged,)

    raises_at: int = 0

    def begin(self) -> int:
        """None."""
        return 0

    def evolve(self, state: int, record: Record) -> int:
        """One more."""
        if state + 1 == self.raises_at:
            raise ZeroDivisionError("it was too much")
        return state + isinstance(record.event, MetricsLogged)

    def decide(self, state: int, record: Record) -> list[Draft]:
        """The number."""
        return [] if state % 2 else [Draft(stream="log", event=NoteTaken(text=f"{state}"))]


def test_a_reaction_that_raises_is_heard_no_more_and_the_run_goes_on(lives, caplog):
    """That is a fact, once, however often the run is resumed; the others are heard as before."""
    made = lives(Counting(raises_at=3), StopEarly(patience=2))
    whole = made.whole()
    resumed = made.resumed(made.images()[-1], "resumed")

    for story in (whole, resumed):
        with agl.open_log(str(story.path), readonly=True) as log:
            failed = [record.event for record in log.read(types=[PluginFailed.type])]
            notes = [record.event.text for record in log.read(types=[NoteTaken.type])]
        assert failed == [
            PluginFailed(name="counting", hook="agl_register_reactions", why="ZeroDivisionError: it was too much")
        ]
        assert notes == ["2"]
        assert story.result == {"tried": 4}
    assert "is heard no more" in caplog.text


def test_one_that_changes_its_mind_is_heard_no_more(lives, caplog):
    """What it decided stays; that it would decide otherwise today is said."""
    made = lives(StopEarly(patience=2))
    made.whole()
    image = next(image for image in reversed(made.images()) if "goes_on" in image.before)
    made.options["reactions"] = [StopEarly(patience=2, min_delta=0.001)]

    assert made.resumed(image, "changed").result == {"tried": 4}

    assert "KeyReused" in caplog.text


class Bare:
    """Has none of what a reaction has."""

    name, version = "bare", "1"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("stop_late", "stop_late"),
        ({"name": "stop_early", "patient": 3}, "patient"),
        (Bare(), "it has no begin, evolve, decide"),
        (type("Nameless", (Bare,), {"name": "two words"})(), "each a word"),
    ],
)
def test_what_is_no_reaction_is_refused_before_anything_runs(given, said):
    """With what is wrong about it."""
    with pytest.raises((BadValue, agl.AglError), match=said):
        Trainer(reactions=given)


def test_one_that_a_resume_would_not_find_is_told_then(lives):
    """The run itself has it; `agl resume` says why it has not."""

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Local(Counting):
        """Lives in this function."""

    made = lives(Local())
    made.whole()

    with pytest.raises(RunNotImportable, match="Local"):
        resume(RUN, log=str(made.images()[2].path))
