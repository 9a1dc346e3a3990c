"""The loop: who is chosen, what is tuned on, what is served; and what becomes of rounds that teach nothing."""

from __future__ import annotations

import json
import logging
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from agl_sft import Sft, SftConfig, _algorithm, agl_register_adapters, agl_register_algorithms

from agl_core.errors import BadValue, MissingExtra, ModelNotFound, NoTrainingData, TokenIdsMissing, UnknownName
from agl_core.events import RunStopAsked
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.run import Budget
from agl_core.testing import ScriptedModel

pytest.importorskip("agl_triplets")


TUNER = _algorithm._tuner
"""The real one."""
TWO = {"x": [0.25, 1.0, 1.0, 0.5], "y": [0.0, 0.25, 0.125, 0.0]}


def earned(lesson):
    """What each row's rollout earned."""
    return [row.reward for row in lesson]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1.0, 0.25]),
        ({"best": 2}, [1.0, 1.0, 0.25, 0.125]),
        ({"choose": "threshold", "at_least": 0.25}, [0.25, 1.0, 1.0, 0.5, 0.25]),
        ({"choose": "weighted"}, [0.25, 1.0, 1.0, 0.5, 0.25, 0.125]),
    ],
)
def test_the_rule_says_who_is_learnt_from(world, options, expected):
    """Of eight rollouts; how many of how many is in the metrics, and why the others are not is in the batch."""
    world.fit(Sft(rounds=1, **options), TWO)

    (lesson,) = world.scribe.lessons
    assert earned(lesson) == expected
    metrics = world.metrics(1)
    assert (metrics["chosen/rollouts"], metrics["chosen/of"]) == (len(expected), 8)
    assert metrics["calls/kept"] + metrics["calls/dropped"] == 8
    (batch,) = world.events("batch.formed")
    assert batch.options["credit"]["name"] == "chosen"
    assert sum(batch.dropped.values()) == metrics["calls/dropped"]


def test_a_round_is_rollouts_rows_an_update_and_new_weights(world):
    """Three times; each begins where the last ended, and gives agents a new version of what they are given."""
    summary = world.fit(Sft(rounds=3, eval_every=2), TWO, val=[{"name": "v"}], test=[{"name": "t"}])

    updates = [event.result for event in world.events("step.recorded") if event.label == "tune"]
    served = [(event.version, event.checkpoint) for event in world.events("policy.updated")]
    digests = [update["checkpoint"] for update in updates]
    assert served == [*enumerate(digests, start=1), (0, served[-2][1]), (3, digests[-1])]
    parents = [json.loads((Path(f"{world.log}.d") / "checkpoints" / digest[3:] / "weights").read_text())["parent"]
               for digest in digests]  # fmt: skip
    assert parents[1:] == digests[:-1]
    why = [event.why for event in world.events("resources.published")][1:]
    assert why[1] == f"round 2: tuned on 2 of 8 rollouts; policy@2 is {digests[1]}"
    assert world.read("select count(*) from rollouts where mode = 'val'") == [(1,)]
    assert world.metrics(2)["val/reward"] == 0.5
    assert summary.result["checkpoint"] == digests[-1]
    assert summary.result["verdict"] == "no significant gain"
    assert (summary.result["rollouts"], summary.result["chosen"]) == (24, 6)


def test_rows_are_the_tokens_as_they_were_sampled(world):
    """Of a conversation of three calls, one row: what the agent put between them is there, and is not learnt."""
    world.fit(Sft(rounds=1, samples=1), {"x": [1.0]}, turns=3)

    (row,) = world.scribe.lessons[0]
    with SqliteLog(world.log, projections=CORE, readonly=True) as log:
        calls = [record.event.call for record in log.read(types=["call.recorded"])]
    sampled = [token for call in calls for token in call.choices[0].token_ids]
    assert [token for token, bit in zip(row.token_ids[row.prompt_length :], row.mask, strict=True) if bit] == sampled
    assert row.token_ids == (*calls[-1].prompt_token_ids, *calls[-1].choices[0].token_ids)


def test_one_agent_of_several_can_be_learnt_from_alone(world):
    """Calls of the other are dropped with their reason."""
    world.fit(Sft(rounds=1, samples=1, agent="editor"), {"x": [1.0]}, turns=2)

    assert [len(row.call_ids) for row in world.scribe.lessons[0]] == [1]
    assert world.metrics(1)["dropped/other_agent"] == 1


def test_a_row_that_is_too_long_is_left_out_whole(world):
    """And counted; a cut one would be another conversation."""
    world.fit(Sft(rounds=1, samples=1, max_length=64), {"x": [1.0], "y" * 100: [1.0]})

    assert len(world.scribe.lessons[0]) == 1
    assert world.metrics(1)["dropped/too_long"] == 1


def test_what_failed_or_was_never_scored_is_not_learnt_from(world):
    """Though it would have been the best, or the only one."""
    rewards = {"x": ["raises", 0.5], "y": [None, 0.25], "z": [None, None]}

    world.fit(Sft(rounds=1, samples=2), rewards, failures={"no_reward": "mask"})

    assert earned(world.scribe.lessons[0]) == [0.5, 0.25]


def test_a_round_that_teaches_nothing_is_told_and_skipped(world, caplog):
    """No update, no new weights, and the next round goes on from the old ones."""
    with caplog.at_level(logging.WARNING):
        world.fit(Sft(rounds=3, samples=1, choose="threshold", at_least=0.5), {"x": [0.0, 0.75, 0.0]})

    assert len(world.scribe.lessons) == 1
    assert [world.metrics(step)["chosen/rollouts"] for step in (1, 2, 3)] == [0, 1, 0]
    assert caplog.text.count("nothing to learn from: 0 of 1 rollouts (calls not learnt from: 1 below_threshold)") == 2


def test_a_run_that_learns_nothing_says_so_and_opens_nothing(world):
    """It is a result and no error; the sealed tasks stay sealed, for there is nothing to compare."""
    summary = world.fit(Sft(rounds=2, choose="threshold", at_least=2.0), TWO, test=[{"name": "t"}])

    assert summary.status == "finished"
    assert summary.result["verdict"] == "nothing learnt"
    assert summary.result["dropped"] == {"below_threshold": 16}
    assert world.events("test.opened") == []
    assert world.events("policy.updated") == []


def test_one_task_is_enough(world):
    """In every split: then nobody can say whether it is better, and the run says that."""
    summary = world.fit(Sft(rounds=1), {"x": [1.0]}, val=[{"name": "v"}], test=[{"name": "t"}])

    assert summary.result["verdict"] == "no significant gain"
    assert summary.result["difference"]["ci95"] is None


def test_asked_to_stop_it_ends_the_round_and_is_examined(world, monkeypatch):
    """In good order: what was tuned is served, measured and told."""
    tune = world.scribe.tune

    def asked_meanwhile(*arguments):
        with SqliteLog(world.log, projections=CORE) as log:
            log.append([Draft(stream="run/run-1", event=RunStopAsked(run_id="run-1", why="enough"))])
        return tune(*arguments)

    monkeypatch.setattr(world.scribe, "tune", asked_meanwhile)
    summary = world.fit(Sft(rounds=3), TWO, test=[{"name": "t"}])

    assert len(world.scribe.lessons) == 1
    assert summary.result["stopped"] == "before round 2 of 3: it was asked to stop"
    assert summary.result["verdict"] == "no significant gain"


def test_a_budget_that_has_no_room_for_a_round_ends_it_in_good_order(world):
    """Eight calls a round, and two for the examination: twenty are enough for two rounds, and not for three."""
    summary = world.fit(Sft(rounds=3), TWO, test=[{"name": "t"}], budget={"calls": 20})

    assert summary.result["stopped"].startswith("before round 3 of 3: its budget does not cover")
    assert summary.result["verdict"] == "no significant gain"
    assert world.read("select count(*) from calls") == [(18,)]


def test_calls_of_another_model_are_not_learnt_from(world):
    """An agent may ask several, and this policy has not said what the others did."""
    world.fit(
        Sft(rounds=1, samples=1), {"x": [1.0]}, models={"policy": "scripted:", "other": "scripted:"}, asks="other"
    )

    assert world.scribe.lessons == []
    assert world.metrics(1)["dropped/other_model"] == 1


def test_without_test_tasks_nothing_is_claimed(world):
    """Rewards of the tasks it learnt from are no proof."""
    assert world.fit(Sft(rounds=1), TWO).result["verdict"] == "not examined: there are no test tasks"


# --- what cannot be done


def test_a_model_that_others_serve_cannot_be_tuned(world):
    """Known before anything is spent, with the cure."""
    with ScriptedModel("4") as model, pytest.raises(ModelNotFound, match=r"cannot be tuned.*transformers:/path"):
        world.fit(Sft(), TWO, models={"policy": f"{model.url}#policy"})

    assert world.read("select count(*) from rollouts") == [(0,)]


def test_a_policy_that_is_not_there_is_told_with_those_that_are(world):
    """A slip of the pen costs nothing."""
    with pytest.raises(ModelNotFound, match="tunable: policy"):
        world.fit(Sft(policy="polcy"), TWO)


def test_a_model_that_keeps_its_tokens_stops_the_run(world):
    """It will not say them in the next round either."""
    world.says_tokens = False

    with pytest.raises(TokenIdsMissing):
        world.fit(Sft(), TWO)

    assert world.scribe.lessons == []
    assert world.read("select count(*) from rollouts") == [(8,)]


def test_no_task_is_refused(world):
    """With the code that says what to pass."""
    with pytest.raises(NoTrainingData):
        world.fit(Sft(), {})


def test_a_missing_trl_names_the_install_line(world, monkeypatch):
    """Before the first rollout, so that nothing is spent."""
    monkeypatch.setattr(_algorithm, "_tuner", TUNER)
    for module in ("trl", "trl.trainer.sft_config"):
        monkeypatch.setitem(sys.modules, module, None)
    for module in ("_tuner", "_trl", "_student"):
        monkeypatch.delitem(sys.modules, f"agl_sft.{module}", raising=False)

    with pytest.raises(MissingExtra, match=r"pip install 'agl-sft\[trl\]'"):
        world.fit(Sft(), TWO)

    assert world.read("select count(*) from rollouts") == [(0,)]


@pytest.mark.parametrize(
    "options",
    [
        {"samples": 0},
        {"rounds": 0},
        {"temperature": 0},
        {"learning_rate": float("nan")},
        {"max_length": 1},
        {"warmup": 1.0},
        {"schedule": "polynomial"},
        {"from_run": "run-1"},
    ],
)
def test_bad_hyper_parameters_are_refused(options):
    """At the door, not a round later."""
    with pytest.raises(BadValue):
        SftConfig(**options)


def test_it_is_registered_and_configured_by_name():
    """`--set key=value` of the command line ends here."""
    assert agl_register_algorithms() == {"sft": Sft}
    assert agl_register_adapters().keys() == {"chosen"}
    assert Sft(SftConfig(rounds=7), samples=2).config == SftConfig(rounds=7, samples=2)


@pytest.mark.skipif(not entry_points(group="agl", name="sft"), reason="it is on the path, and not installed")
def test_it_is_found_where_it_is_installed_and_nowhere_else(monkeypatch):
    """By its entry point; a core without it says what it knows instead."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "sft")
    assert Plugins.load().algorithm("sft") is Sft

    monkeypatch.setenv("AGL_LOAD_PLUGINS", "triplets")
    with pytest.raises(UnknownName, match="sft"):
        Plugins.load().algorithm("sft")


def test_it_tells_ahead_what_it_will_cost():
    """In rollouts; a budget that does not last for a round is too small."""
    plan = Sft(rounds=4, tasks_per_round=10, samples=3, eval_every=2).plan(
        {"train": 25, "val": 5, "test": 7}, Budget(calls=20)
    )

    assert plan.rollouts == (120 + 10, 120 + 10 + 14)
    assert plan.too_small == "a round alone is 30 rollouts"


def test_each_task_has_its_turn_before_any_comes_again(world):
    """Three of five in a round: in five rounds each is done three times."""
    world.fit(Sft(rounds=5, tasks_per_round=3, samples=1), {name: [1.0] for name in "abcde"})

    counts = dict(world.read("select task_id, count(*) from rollouts group by task_id"))
    assert set(counts.values()) == {3}
