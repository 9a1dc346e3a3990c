"""Learning from another log: which of its rollouts, by which tokens, and what is refused."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest
from agl_sft import Sft

import agl_core as agl
from agl_core.algorithm import Collect
from agl_core.errors import BadValue, LogNotFound, NotOffline, StepFailed
from agl_core.trainer import resume

pytest.importorskip("agl_triplets")

TABLE = {"x": [0.25, 1.0, 1.0, 0.5], "y": [0.0, 0.25, "raises", None]}


@pytest.fixture(scope="module")
def old(make_world):
    """A run that learnt nothing: eight rollouts of two tasks, and one of validation."""
    with make_world() as world:
        nothing = Sft(rounds=1, choose="threshold", at_least=9.0)
        world.fit(nothing, TABLE, val=[{"name": "v"}], failures={"no_reward": "mask"})
    return world.log


@pytest.fixture
def source(world, old):
    """Its log."""
    for file in old.parent.glob("log.db*"):
        if file.is_file():
            shutil.copyfile(file, world.log.parent / file.name)
    return world.log


@pytest.fixture
def offline(world, source, tmp_path):
    """Tune from it, in a log of its own, with nobody to do any task."""

    def fitted(*, log="tuned.db", agent=None, models=None, config=None, **splits):
        given = {"from_log": str(source), **(config or {})}
        trainer = agl.Trainer(
            algorithm=Sft(**given), models={"policy": "scripted:"}, store=str(tmp_path / log), plugins=world.plugins,
            **(models or {}),
        )  # fmt: skip
        return trainer.fit(agent, run_id="run-2", **splits)

    return fitted


def earned(lesson):
    """What each row's rollout earned."""
    return sorted(row.reward for row in lesson)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, [0.25, 1.0]),
        ({"best": 9}, [0.0, 0.25, 0.25, 0.5, 1.0, 1.0]),
        ({"choose": "threshold", "at_least": 0.5}, [0.5, 1.0, 1.0]),
        ({"choose": "weighted", "from_run": "run-1"}, [0.25, 0.25, 0.5, 1.0, 1.0]),
    ],
)
def test_the_rule_chooses_among_the_rollouts_of_the_log(world, offline, tmp_path, config, expected):
    """What failed, what nobody scored, and what was measured on is not learnt from; and nothing is sampled."""
    summary = offline(config=config)

    (lesson,) = world.scribe.lessons
    assert earned(lesson) == expected
    assert summary.result["rollouts"] == 8
    assert summary.result["chosen"] == len(expected)
    assert summary.result["verdict"] == "not examined: there are no test tasks"
    with agl.open_log(str(tmp_path / "tuned.db"), readonly=True) as log:
        assert log.rows("select count(*) from rollouts") == [(0,)]
        (read,) = [record.event for record in log.read(types=["step.recorded"]) if record.event.label == "read"]
        metrics = dict(log.rows("select name, value from metrics where step = 1"))
    assert read.result["left_out"] == 1
    assert read.result["kept"] + sum(read.result["dropped"].values()) == 8
    assert metrics["chosen/rollouts"] == len(expected)


def test_the_rows_are_those_that_the_run_itself_would_have_had(world, offline):
    """To the token: a log forgets nothing."""
    world.log = world.log.with_name("same.db")
    world.fit(Sft(rounds=1), {"x": [0.25, 1.0, 1.0, 0.5]})
    offline(config={"from_log": str(world.log)})

    ours, theirs = world.scribe.lessons
    assert [row.token_ids for row in theirs] == [row.token_ids for row in ours]
    assert [row.mask for row in theirs] == [row.mask for row in ours]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["duckdb", "parquet", "jsonl"])
def test_an_export_will_do(world, offline, source, tmp_path, suffix):
    """Of any kind that opens as a log."""
    out = tmp_path / f"old.{suffix}"
    subprocess.run(
        [sys.executable, "-m", "agl_core.cli", "log", "export", out, "--log", source], check=True, capture_output=True
    )

    offline(config={"from_log": str(out)})

    assert earned(world.scribe.lessons[0]) == [0.25, 1.0]


def test_only_what_is_selected_is_learnt_from(world, offline):
    """As in any run: by the trainer's `select`, or by agent."""
    offline(config={"agent": "writer"})
    with pytest.raises(BadValue, match="not_selected"):
        offline(log="other.db", models={"select": {"model": "another"}})

    assert len(world.scribe.lessons) == 1


def test_what_was_tuned_is_measured_on_tasks_of_its_own(world, offline):
    """With an agent to do them: validation and the sealed split, as ever."""

    @agl.rollout
    def agent(task):
        return 0.5

    summary = offline(agent=agent, val_dataset=[1], test_dataset=[2, 3])

    assert summary.result["verdict"] == "no significant gain"
    assert summary.result["reward_after"]["n"] == 2


@pytest.fixture
def killed(world, offline, monkeypatch):
    """A run that died while it was tuning, and that can be resumed."""

    def dies(*_):
        raise KeyError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(world.scribe, "tune", dies)
        with pytest.raises(StepFailed):
            offline()
    monkeypatch.setattr("agl_core.trainer._resume.Plugins.load", lambda: world.plugins)


def test_resumed_it_reads_the_log_as_it_stood(world, killed, tmp_path):
    """What came to the log meanwhile changes nothing; what is recorded is not chosen again."""
    world.fit(Sft(rounds=1, choose="threshold", at_least=9.0), {"x": [0.75], "z": [0.75]}, run_id="run-3")

    summary = resume("run-2", log=str(tmp_path / "tuned.db"))

    assert earned(world.scribe.lessons[0]) == [0.25, 1.0]
    assert summary.result["chosen"] == 2


def test_another_file_under_the_same_name_is_no_way_to_go_on(world, killed, source, tmp_path):
    """The digest tells; nothing is trained on what was not chosen."""
    for file in source.parent.glob("log.db*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    world.fit(Sft(rounds=1, choose="threshold", at_least=9.0), {"x": [1.0], "y": [1.0]})

    with pytest.raises(BadValue, match="it gives other rows than it did"):
        resume("run-2", log=str(tmp_path / "tuned.db"))

    assert not world.scribe.lessons


@pytest.mark.skipif(find_spec("transformers") is None, reason="there is no tokenizer here")
def test_tokens_of_another_model_are_told_by_how_they_read(world, offline, folder):
    """A scripted model's tokens mean something else to the tokenizer beside the policy's weights."""
    shutil.copyfile(folder / "tokenizer.json", world.model / "tokenizer.json")

    with pytest.raises(BadValue, match="another tokenizer"):
        offline()

    assert not world.scribe.lessons


def test_a_log_that_teaches_nothing_is_an_error_that_says_why(world, offline):
    """There is no other round that might."""
    with pytest.raises(BadValue, match=r"0 of 8 rollouts \(calls not learnt from: .*6 below_threshold"):
        offline(config={"choose": "threshold", "at_least": 9.0})


def test_a_run_that_is_not_there_is_told(offline):
    """And not taken for one that did nothing."""
    with pytest.raises(BadValue, match="has no such run"):
        offline(config={"from_run": "run-9"})


def test_a_log_that_is_not_there_is_told(offline, tmp_path):
    """As everywhere."""
    with pytest.raises(LogNotFound):
        offline(config={"from_log": str(tmp_path / "gone.db")})


def test_it_learns_from_a_log_or_from_tasks(world, offline):
    """Both would be two different things."""

    @agl.rollout
    def agent(task):
        return 1.0

    with pytest.raises(BadValue, match="1 training tasks too"):
        offline(agent=agent, train_dataset=[{"name": "x"}])


@pytest.fixture
def later(world, source):
    """A reward that came later for each rollout of the tasks: `style`, and the worst of x is now the best."""

    async def give():
        with agl.open_log(str(source)) as log:
            store = agl.Store(log)
            given = [record.event for record in log.read(types=["reward.given"])]
            trained = {id_ for (id_,) in log.rows("select rollout_id from rollouts where mode = 'train'")}
            for rollout_id, reward in [(one.target.id, one.value) for one in given if one.target.id in trained]:
                await store.add_reward(rollout_id, 1.0 - reward, name="style", judge="style 1")
                if reward == 0.25:
                    await store.add_reward(rollout_id, 2.0)
            store.close()

    with agl.open_log(str(source), readonly=True) as log:
        head = log.head()
    asyncio.run(give())
    return head


@pytest.mark.parametrize(
    ("config", "expected"), [({}, [2.0, 2.0]), ({"reward": "style"}, [0.75, 1.0]), ({"at": True}, [0.25, 1.0])]
)
def test_rewards_are_as_they_are_now_or_were_then(world, offline, later, config, expected):
    """A judge over old rollouts changes what is learnt of them: by its name, and no sooner than it judged."""
    offline(config={name: later if value is True else value for name, value in config.items()})

    assert earned(world.scribe.lessons[0]) == expected


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"at": 10**6}, "ends at position"),
        ({"at": 1}, "0 of 0 rollouts"),
        ({"reward": "nobody"}, "no_reward"),
    ],
)
def test_a_place_and_a_reward_that_are_not_there_are_told(world, offline, config, why):
    """By what became of the calls, or by where the log ends."""
    with pytest.raises(BadValue, match=why):
        offline(config=config)

    assert not world.scribe.lessons


def test_the_log_that_the_run_writes_is_another(world, offline, source):
    """What is read must not grow by reading it; nothing is sampled, and no weights are made."""
    with pytest.raises(BadValue, match="this run writes to it"):
        offline(log=source)

    assert not world.scribe.lessons


@pytest.mark.slow
def test_a_log_without_token_ids_says_so(world, offline):
    """Of a model that others serve there are words alone, and no tokens to say again."""
    world.says_tokens = False
    world.log = world.log.with_name("words.db")
    nothing = Sft(rounds=1, choose="threshold", at_least=9.0)
    world.fit(nothing, {"x": [1.0, 0.5]}, run_id="run-3")

    with pytest.raises(BadValue, match="no_token_ids"):
        offline(config={"from_log": str(world.log)})


def test_what_was_collected_without_learning_is_learnt_from_without_rollouts(world, offline):
    """`agl run --no-train`, then `agl train --from-log --no-rollouts`: the groups, and the tokens, are there."""
    world.log = world.log.with_name("collected.db")
    world.fit(Collect(samples=4), {"x": [0.25, 1.0, 1.0, 0.5], "y": [0.0, 0.5, 0.25, 0.0]}, run_id="run-3")

    summary = offline(config={"from_log": str(world.log)}, models={"no_rollouts": True})

    assert earned(world.scribe.lessons[0]) == [0.5, 1.0]
    assert (summary.result["rollouts"], summary.result["chosen"]) == (8, 2)


def test_it_learns_with_every_rollout_forbidden(world, offline, tmp_path):
    """`--no-rollouts` costs it nothing: it asks for none."""
    summary = offline(models={"no_rollouts": True})

    assert summary.result["chosen"] == 2
    with pytest.raises(NotOffline, match=r"^sft cannot learn from a log alone: it was told of no log. sft can"):
        offline(log="other.db", models={"no_rollouts": True}, config={"from_log": None})
