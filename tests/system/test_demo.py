"""`agl demo` as a user starts it: a short run, and everything it promises of its log."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys

import pytest

import agl_core as agl
from agl_core.events import CallRecorded

pytest.importorskip("agl_demo")
pytest.importorskip("torch")

pytestmark = pytest.mark.slow

STEPS = 2


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo, run once; its JSON object, with the path of its log."""
    path = tmp_path_factory.mktemp("demo") / "log.db"
    done = agl_("demo", "--json", "--steps", str(STEPS), "--seed", "7", "--log", str(path))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def agl_(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "agl_core.cli", *arguments], capture_output=True, text=True, check=False
    )


def test_the_object_says_what_was_measured(demo):
    """The keys are those that are promised, and the numbers are those of the log."""
    assert {
        "run_id", "log", "algorithm", "model", "reward_before", "reward_after", "rollouts", "calls", "steps", "seconds",
        "time",
    } <= set(demo)  # fmt: skip
    assert demo["algorithm"] == "grpo"
    assert demo["steps"] == STEPS
    for key in ("reward_before", "reward_after"):
        low, high = demo[key]["ci95"]
        assert low <= demo[key]["mean"] <= high
        assert demo[key]["n"] == 200
    with agl.open_log(demo["log"], readonly=True) as log:
        rewards = log.rows(
            "select avg(value) from rewards join rollouts using (rollout_id) where mode = 'test' group by grp"
        )
    assert sorted(round(mean, 4) for (mean,) in rewards) == sorted(
        [demo["reward_before"]["mean"], demo["reward_after"]["mean"]]
    )


def test_positions_have_no_gaps_and_events_stay(demo):
    """The database itself refuses to change or lose a fact."""
    with sqlite3.connect(demo["log"]) as db:
        assert db.execute("select count(*) = max(position) and min(position) = 1 from events").fetchone() == (1,)
        assert db.execute("select sum(json_valid(data)) = count(*) from events").fetchone() == (1,)
        for statement in ("update events set actor = 'x'", "delete from events"):
            with pytest.raises(sqlite3.IntegrityError, match="facts"):
                db.execute(statement)


def test_every_call_belongs_to_an_attempt_and_can_be_trained_on(demo):
    """Policy version, token ids and as many logprobs."""
    with agl.open_log(demo["log"], readonly=True) as log:
        orphans = log.rows("select count(*) from calls where attempt_id not in (select attempt_id from attempts)")
        calls = [record.event for record in log.read(types=["call.recorded"])]

    assert orphans == [(0,)]
    assert len(calls) == demo["calls"]
    for call in calls:
        assert isinstance(call, CallRecorded)
        assert call.policy_version is not None
        assert call.call.provenance == "engine"
        assert call.call.prompt_token_ids
        for choice in call.call.choices:
            assert len(choice.token_ids) == len(choice.logprobs) > 0


def test_every_batch_adds_up(demo):
    """Captured is kept and dropped, by reason; and no test task was trained on."""
    with agl.open_log(demo["log"], readonly=True) as log:
        batches = log.rows("select captured, kept, dropped from batches")
        shared = log.rows(
            "select count(*) from rollouts where mode = 'test' and task_id in "
            "(select task_id from rollouts where mode in ('train', 'val'))"
        )
        opened = log.rows("select count(*), min(position) from events where type = 'test.opened'")
        trained = log.rows("select max(position) from rollouts where mode = 'train'")

    assert len(batches) == STEPS
    assert all(captured == kept + sum(json.loads(dropped).values()) for captured, kept, dropped in batches)
    assert shared == [(0,)]
    assert opened[0][0] == 1
    assert opened[0][1] > trained[0][0], "the sealed split is opened at the end"


@pytest.mark.parametrize(
    ("command", "shows"),
    [
        (["runs", "list"], "finished"),
        (["runs", "show", "{run}"], "reward/mean"),
        (["rollouts", "list", "--run", "{run}", "--json"], '"succeeded"'),
        (["log", "query", "select type, count(*) from events group by 1"], "call.recorded"),
        (["log", "verify"], ""),
        (["log", "rebuild"], ""),
        (["plugins", "--json"], '"transformers"'),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_the_log_answers_afterwards(demo, command, shows):
    """The commands that the demo points to."""
    where = [] if command[0] == "plugins" else ["--log", demo["log"]]
    done = agl_(*(part.replace("{run}", demo["run_id"]) for part in command), *where)

    assert done.returncode == 0, done.stderr
    assert shows in done.stdout


def test_a_rollout_is_shown_with_its_tool_call(demo):
    """The transcript: question, tool call, tool result, answer, reward."""
    with agl.open_log(demo["log"], readonly=True) as log:
        (rollout_id,) = log.rows(
            "select rollout_id from rollouts join rewards using (rollout_id) where value = 1.0 limit 1"
        )[0]

    done = agl_("rollouts", "show", rollout_id, "--log", demo["log"])

    assert done.returncode == 0, done.stderr
    assert "calculator" in done.stdout
    assert re.search(r"completed", done.stdout)


def test_a_finished_run_is_not_resumed(demo):
    """A coded error, and no traceback."""
    done = agl_("resume", demo["run_id"], "--log", demo["log"])

    assert done.returncode == 1
    assert "RUN_NOT_RESUMABLE" in done.stderr
    assert "Traceback" not in done.stderr
