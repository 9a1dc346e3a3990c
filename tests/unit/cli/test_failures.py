"""`--failures` and `--max-failed-fraction`: what becomes of what fails, from the command line."""

import json
import os

import pytest

import agl_core as agl
from agl_core.events import BatchFormed
from agl_core.record import Draft

AGENTS = """
import agl_core as agl

@agl.rollout
def solve(task):
    if task.get("bad"):
        raise ValueError("this task is bad")
    return float(task["q"])
"""


@pytest.fixture
def run(tmp_path, type_in):
    """Type a command line where an agent and its tasks are: one good, one bad."""
    (tmp_path / "agents.py").write_text(AGENTS)
    (tmp_path / "tasks.jsonl").write_text('{"q": 1}\n{"q": 1, "bad": true}\n')

    def started(*arguments):
        clean = {name: value for name, value in os.environ.items() if name != "AGL_LOG"}
        return type_in(arguments, cwd=tmp_path, env={**clean, "AGL_LOAD_PLUGINS": ""})

    return started


ONCE = ("run", "agents:solve", "--tasks", "tasks.jsonl", "--max-attempts", "1", "--json")


def test_what_fails_counts_as_it_is_said(run):
    """As a zero it is in the mean; by default it is in none."""
    usual, zero = run(*ONCE), run(*ONCE, "--failures", "framework=mask", "--failures", "agent_raised=zero")

    assert json.loads(usual.stdout)["result"]["train"] == {"mean": 1.0, "n": 1, "ci95": None}
    result = json.loads(zero.stdout)["result"]["train"]
    assert (result["mean"], result["n"]) == (0.5, 2)


def test_too_much_of_it_stops_the_run_and_more_may_be_allowed_at_a_resume(run):
    """With the command that goes on."""
    stopped = run(*ONCE, "--max-failed-fraction", "0.4")
    (listed,) = json.loads(run("runs", "list", "--json").stdout)
    again = run("resume", listed["run_id"], "--json")
    more = run("resume", listed["run_id"], "--max-failed-fraction", "0.5", "--json")

    told = json.loads(stopped.stderr.splitlines()[-1])
    assert (stopped.returncode, told["error"]["code"]) == (1, "TOO_MANY_FAILED")
    assert "this task is bad" in told["error"]["message"]
    assert again.returncode == 1
    assert json.loads(more.stdout)["status"] == "finished"


def test_what_stops_a_run_by_its_own_word_is_not_to_be_resumed(run):
    """It would stop again."""
    stopped = run(*ONCE[:-1], "--failures", "framework=fail")

    assert stopped.returncode == 1
    assert "error[ROLLOUT_FAILED]: 1 agent_raised rollout(s)" in stopped.stderr
    assert "agl resume" not in stopped.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--failures", "environment"), "write it as END=WHAT"),
        (("--failures", "tool_filed=mask"), "known are completed, "),
        (("--failures", "timeout=skip"), "it is one of train, zero, mask, retry, fail"),
    ],
)
def test_what_makes_no_sense_is_a_line(run, tmp_path, options, said):
    """Before anything starts."""
    refused = run(*ONCE[:-1], *options)

    assert refused.returncode == 1
    assert refused.stderr.startswith("error[BAD_VALUE]: ")
    assert said in refused.stderr
    assert not (tmp_path / ".agl").exists()


def test_a_run_is_shown_with_what_it_was_told_and_what_its_batches_did(run, ask, story):
    """By reason, those of all batches together and of each; columns of which there is nothing are left out."""
    plain = ask("runs", "show", story.run, "--log", story.path).stdout
    batch = BatchFormed(
        run_id=story.run, batch_id="ba-2", adapter="triplets", rollouts=tuple(story.rollouts), captured=3, kept=3,
        rows=3, zeroed={"tool_failed": 1, "no_reward": 1}, unmatched={"unknown_target": 2}, digest="b2:0",
    )  # fmt: skip
    with agl.open_log(str(story.path)) as log:
        log.append([Draft(stream=f"run/{story.run}", event=batch, correlation_id=story.run)])

    shown = ask("runs", "show", story.run, "--log", story.path).stdout
    told = json.loads(ask("runs", "show", story.run, "--log", story.path, "--json").stdout)["batches"]

    assert "zeroed" not in plain
    assert "unmatched" not in plain
    assert "masked rollouts  zeroed rollouts" in shown
    assert "agent_raised 1   no_reward 1, tool_failed 1  unknown_target 2" in shown
    assert [one["zeroed"] for one in told] == [{}, {"tool_failed": 1, "no_reward": 1}]
    assert [one["masked"] for one in told] == [{"agent_raised": 1}, {}]
    assert [one["unmatched"] for one in told] == [{}, {"unknown_target": 2}]
    run(*ONCE, "--failures", "framework=zero", "--max-failed-fraction", "0.5")
    assert "failures   framework zero; at most 0.5 masked" in run("runs", "show").stdout
