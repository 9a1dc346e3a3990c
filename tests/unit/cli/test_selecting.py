"""`--select` and `--dry-run`: which calls are learnt from is known before a run, and told after it."""

from __future__ import annotations

import json
import os

import pytest

from agl_core.testing import ScriptedModel

TEAM = """
import httpx
import agl_core as agl

@agl.rollout
def team(task, llm):
    if task.get("bad"):
        raise ValueError("this task is bad")
    headers = {"authorization": f"Bearer {llm.api_key}"}
    body = {"model": llm.model, "messages": [{"role": "user", "content": "hello"}]}
    for name in ("planner", "writer", "writer"):
        with agl.agent(name):
            httpx.post(f"{llm.endpoint}/chat/completions", json=body, headers=headers).raise_for_status()
    return 1.0
"""


@pytest.fixture
def folder(tmp_path):
    """With agents and tasks in it."""
    (tmp_path / "agents.py").write_text(TEAM)
    (tmp_path / "tasks.jsonl").write_text('{"q": 1}\n{"q": 2}\n')
    return tmp_path


@pytest.fixture
def model():
    """Says the same to everybody."""
    with ScriptedModel("hello") as model:
        yield model


@pytest.fixture
def type_(folder, model, type_in):
    """Type a command there; what became of it."""

    def agl(command, *arguments, tasks="tasks.jsonl"):
        given = {"run": ["--tasks", tasks], "train": ["--algorithm", "baseline", "--train", tasks]}[command]
        model_of = ["--model", f"policy={model.url}#policy"]
        line = [command, "agents:team", *given, *model_of, *arguments]
        environment = {name: value for name, value in os.environ.items() if name != "AGL_LOG"}
        return type_in(line, cwd=folder, env=environment)

    return agl


@pytest.mark.parametrize("command", ["run", "train"])
def test_a_dry_run_says_what_each_selector_keeps_and_leaves_nothing(type_, folder, model, command):
    """One rollout is spent; no log comes to be."""
    before = sorted(folder.iterdir())

    done = type_(command, "--dry-run", "--select", "agent=writer", "--select", "model=policy", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "of": "one rollout",
        "selectors": [
            {"select": "all", "keeps": 3, "of": 3, "agents": {"planner": 1, "writer": 2}},
            {"select": "agent=writer", "keeps": 2, "of": 3, "agents": {"writer": 2}},
            {"select": "model=policy", "keeps": 3, "of": 3, "agents": {"planner": 1, "writer": 2}},
            {"select": "agent=writer and model=policy", "keeps": 2, "of": 3, "agents": {"writer": 2}},
        ],
    }
    assert len(model.requests) == 3
    assert sorted(path for path in folder.iterdir() if path.name != "__pycache__") == before


def test_a_selector_that_keeps_nothing_fails_with_those_that_would(type_):
    """The table is printed all the same."""
    done = type_("train", "--dry-run", "--select", "agent=writers")

    assert done.returncode == 1
    assert "agent=writers      0   3" in done.stdout
    assert "error[SELECTS_NOTHING]: agent=writers keeps none of 3 policy call(s)" in done.stderr
    assert "planner (1), writer (2)" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_log_can_be_looked_at_instead(type_, folder, model):
    """No rollout is spent on it."""
    assert type_("run", "--quiet").returncode == 0
    asked = len(model.requests)

    done = type_("train", "--dry-run", "--from-log", folder / ".agl" / "log.db", "--select", "agent=planner", "--json")

    assert json.loads(done.stdout)["selectors"][1] == {
        "select": "agent=planner", "keeps": 2, "of": 6, "agents": {"planner": 2}
    }  # fmt: skip
    assert len(model.requests) == asked


def test_a_run_tells_what_was_selected(type_, type_in, folder):
    """In its summary, and when it is shown; and nothing is a failure."""
    done = type_("run", "--select", "agent=writer", "--json", "--quiet")
    shown = type_in(["runs", "show", "--log", str(folder / ".agl" / "log.db")], cwd=folder, env=dict(os.environ))
    none = type_("run", "--select", "agent=nobody", "--quiet")

    assert json.loads(done.stdout)["selected"] == {"agent=writer": {"keeps": 4, "of": 6}}
    assert "agent=writer" in next(line for line in shown.stdout.splitlines() if line.startswith("select "))
    assert none.returncode == 1
    assert "agent=nobody  0 of 6 policy calls" in none.stdout
    assert "error[SELECTS_NOTHING]" in none.stderr


def test_a_dry_run_that_fails_says_how(type_, folder):
    """The agent's own failure is why nothing was seen."""
    (folder / "bad.jsonl").write_text('{"bad": true}\n')

    done = type_("run", "--dry-run", "--max-attempts", "1", tasks="bad.jsonl")

    assert done.returncode == 1
    assert "the rollout ended as agent_raised: ValueError: this task is bad" in done.stderr
    assert "error[SELECTS_NOTHING]: all keeps none of 0 policy call(s); no call was captured" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--select", "writer"], 1, "write it as agent=NAME"),
        (["--select", "span=x"], 1, "calls are selected by agent and model"),
        (["--from-log", "tasks.jsonl"], 2, "it goes with --dry-run"),
        (["--dry-run", "--from-log", "tasks.jsonl"], 1, "error["),
    ],
)
def test_what_is_not_understood_is_a_line(type_, model, arguments, status, said):
    """And costs no call."""
    done = type_("run", *arguments)

    assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (status, True, False), done.stderr
    assert not model.requests
