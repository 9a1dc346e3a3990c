"""`train`, `run` and `resume`: what they are told, and how they end."""

import json
import os
import signal
from dataclasses import dataclass
from typing import Literal

import pytest

import agl_core as agl
from agl_core.cli._configs import config_class, config_options, configured
from agl_core.errors import BadValue, UnknownName
from agl_core.testing import ScriptedModel

AGENTS = """
import os, signal
import agl_core as agl

@agl.rollout
def solve(task):
    if task.get("kill") and not os.path.exists("killed"):
        open("killed", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if task.get("bad"):
        raise ValueError("this task is bad")
    return float(task["q"])

@agl.rollout
def graded(task, grader: agl.LLM):
    import httpx
    headers = {"authorization": f"Bearer {grader.api_key}"}
    body = {"model": grader.model, "messages": [{"role": "user", "content": "How good?"}]}
    reply = httpx.post(f"{grader.endpoint}/chat/completions", headers=headers, json=body).json()
    return float(reply["choices"][0]["message"]["content"])
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with agents in it, as a user has."""
    (tmp_path / "agents.py").write_text(AGENTS)
    (tmp_path / "unfinished.py").write_text("x = (\n")
    (tmp_path / "broken.py").write_text("raise RuntimeError('no licence')\n")
    (tmp_path / "tasks.jsonl").write_text('{"q": 1}\n\n{"q": 0}\n')
    return tmp_path


@pytest.fixture
def run(folder, type_in):
    """Type a command line there."""

    def started(*arguments):
        environment = {name: value for name, value in os.environ.items() if name != "AGL_LOG"}
        return type_in(arguments, cwd=folder, env=environment)

    return started


@dataclass(frozen=True, kw_only=True)
class Config:
    """Hyper-parameters of every kind."""

    steps: int = 4
    """Rounds of rollouts,
    each followed by an update."""
    rate: float = 1e-3
    shuffle: bool = True
    mode: Literal["fast", "slow"] = "fast"
    agent: str | None = None
    weights: tuple[float, ...] = (1.0,)
    """One a task."""
    size: int


class Learner:
    """What takes them."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config


# --- whole commands


def test_a_judge_is_named_on_the_command_line(run, folder):
    """Where it is served, what its calls are, how it samples: no program is needed for that."""
    with ScriptedModel("0.25", model="org/large") as model:
        done = run(
            "run", "agents:graded", "--tasks", "tasks.jsonl", "--model", f"grader={model.url}#org/large",
            "--role", "grader=judge", "--sampling", "train.temperature=0", "--sampling", "train.stop=END", "--json",
        )  # fmt: skip
        sampled = [(asked.body["temperature"], asked.body["stop"]) for asked in model.requests]

    assert json.loads(done.stdout)["result"]["train"]["mean"] == 0.25
    assert sampled == [(0, "END")] * 2
    with agl.open_log(str(folder / ".agl/log.db"), readonly=True) as log:
        assert log.rows("select distinct role, model from calls") == [("judge", "grader")]


@pytest.mark.parametrize(
    "options",
    [("--role", "grader"), ("--role", "grader=critic"), ("--sampling", "temperature=0"), ("--sampling", "val.x")],
)
def test_a_role_or_sampling_of_another_form_is_a_line(run, options):
    """What is wrong, and the form it has."""
    done = run("run", "agents:solve", "--tasks", "tasks.jsonl", *options)

    assert done.returncode == 1
    assert "is refused" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_agent_runs_over_tasks(run, folder):
    """The log comes to be where nothing else was said; stdout is the summary alone."""
    done = run("run", "agents:solve", "--tasks", "tasks.jsonl", "--repeat", "2", "--json")

    told = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert told["result"]["train"]["mean"] == 0.5
    assert told["log"] == str(folder / ".agl/log.db")
    assert len(json.loads(run("rollouts", "list", "--json").stdout)) == 4
    assert f"run {told['run_id']}: baseline on agents:solve" in done.stderr


def test_some_failures_are_exit_code_3_and_only_failures_1(run, folder):
    """With the way to look at them."""
    (folder / "some.jsonl").write_text('{"q": 1}\n{"q": 1, "bad": true}\n')
    (folder / "all.jsonl").write_text('{"q": 1, "bad": true}\n')

    some = run("run", "agents:solve", "--tasks", "some.jsonl", "--max-attempts", "1", "--quiet")
    every = run("run", "agents:solve", "--tasks", "all.jsonl", "--max-attempts", "1", "--quiet")

    assert (some.returncode, every.returncode) == (3, 1)
    assert "1 of 2 rollouts failed: agl rollouts list --status failed" in some.stderr
    assert "Traceback" not in some.stderr + every.stderr


def test_an_algorithm_takes_its_options(run, folder):
    """A flag goes over --set, --set over the file."""
    (folder / "config.toml").write_text("n_epochs = 2\n")
    train = [
        "train",
        "agents:solve",
        "--algorithm",
        "baseline",
        "--train",
        "tasks.jsonl",
        "--config",
        "config.toml",
        "--json",
    ]

    by_file = json.loads(run(*train).stdout)
    by_set = json.loads(run(*train, "--set", "n_epochs=3").stdout)
    by_flag = json.loads(run(*train, "--set", "n_epochs=3", "--n-epochs", "1").stdout)

    runs = {told["run_id"]: told["rollouts"] for told in json.loads(run("runs", "list", "--json").stdout)}
    assert [runs[told["run_id"]] for told in (by_file, by_set, by_flag)] == [4, 6, 2]


def test_help_shows_the_options_of_the_algorithm(run):
    """With their docstrings and defaults."""
    shown = run("train", "--algorithm", "baseline", "--help").stdout

    assert "Options of baseline:" in shown
    assert "--n-epochs INTEGER" in shown
    assert "Times over the training tasks" in shown


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [
        (["run", "agents:slove", "--tasks", "tasks.jsonl"], "NOT_IMPORTABLE", "module agents has no 'slove'"),
        (["run", "nowhere:solve", "--tasks", "tasks.jsonl"], "NOT_IMPORTABLE", "No module named 'nowhere'"),
        (["run", "broken:solve", "--tasks", "tasks.jsonl"], "NOT_IMPORTABLE", "RuntimeError: no licence"),
        (["run", "json:loads", "--tasks", "tasks.jsonl"], "BAD_VALUE", "an agent is a function with @agl.rollout"),
        (["run", "agents:solve", "--tasks", "broken.py"], "BAD_VALUE", "broken.py, line 1"),
        (["train", "agents:solve", "--algorithm", "baseline"], "NO_TRAINING_DATA", "--train FILE"),
        (["train", "agents:solve", "--algorithm", "basline"], "UNKNOWN_NAME", "did you mean 'baseline'?"),
        (
            ["train", "agents:solve", "--algorithm", "baseline", "--train", "tasks.jsonl", "--set", "n_epoch=1"],
            "UNKNOWN_NAME",
            "did you mean 'n_epochs'?",
        ),
        (
            ["train", "agents:solve", "--algorithm", "baseline", "--train", "tasks.jsonl", "--model", "nothing:here"],
            "ENGINE_FAILED",
            "is agl-nothing installed?",
        ),
        (["run", "agents:solve", "--tasks", "tasks.jsonl", "--model", "policy"], "BAD_VALUE", "write it as NAME=URL"),
        (["run", "agents:solve", "--tasks", "tasks.jsonl", "--model", "policy="], "BAD_VALUE", "write it as NAME=URL"),
        (
            ["run", "agents:solve", "--tasks", "tasks.jsonl", "--model", "http://a", "--model", "policy=http://b"],
            "BAD_VALUE",
            "'policy' is http://a already",
        ),
        (["run", "unfinished:solve", "--tasks", "tasks.jsonl"], "NOT_IMPORTABLE", "(unfinished.py, line 1). Write it"),
        (["resume", "run-0"], "LOG_NOT_FOUND", ".agl/log.db"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(run, typed, code, said):
    """Before anything is spent, and with its code."""
    done = run(*typed)

    assert done.returncode == 1
    assert done.stdout == ""
    assert f"error[{code}]: " in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_an_agent_that_asks_for_a_model_is_not_run_without_one(run, folder, more):
    """It would be handed the last model of the log, whose server is gone; nothing is written."""
    done = run("run", "agents:graded", "--tasks", "tasks.jsonl", *more)

    assert done.returncode == 2
    assert "name it with --model policy=URL" in done.stderr
    assert not (folder / ".agl").exists()


def test_a_killed_run_is_resumed(run, folder):
    """What was finished is not run again, and every task is there once."""
    (folder / "deadly.jsonl").write_text('{"q": 1}\n{"q": 0}\n{"q": 1, "kill": true}\n')
    killed = run("run", "agents:solve", "--tasks", "deadly.jsonl", "--n-runners", "1")
    (before,) = json.loads(run("runs", "list", "--json").stdout)

    resumed = run("resume", before["run_id"][:16], "--json")

    (after,) = json.loads(run("runs", "list", "--json").stdout)
    rollouts = json.loads(run("rollouts", "list", "--json").stdout)
    assert killed.returncode == -signal.SIGKILL
    assert before["status"] == "interrupted"
    assert resumed.returncode == 0, resumed.stderr
    assert (after["status"], after["resumed"]) == ("finished", 1)
    assert sorted(rollout["reward"] for rollout in rollouts) == [0.0, 1.0, 1.0]
    assert sorted(rollout["attempts"] for rollout in rollouts) == [1, 1, 2]


def test_a_run_that_fails_says_how_to_go_on(run, folder):
    """The algorithm stopped; its run did not end."""
    (folder / "stubborn.py").write_text(
        "import agl_core as agl\n"
        "from agl_core.errors import StepFailed\n"
        "class Stubborn:\n"
        "    name = 'stubborn'\n"
        "    async def run(self, run):\n"
        "        raise StepFailed('think', why='it did not want to')\n"
    )

    done = run("train", "agents:solve", "--algorithm", "stubborn:Stubborn", "--train", "tasks.jsonl")

    assert done.returncode == 1
    assert "error[STEP_FAILED]: step 'think' failed: it did not want to" in done.stderr
    assert "go on with: agl resume run-" in done.stderr


# --- hyper-parameters


def test_a_field_is_an_option_with_its_docstring():
    """Flags for booleans, choices for literals, JSON for what has parts; names that are taken are left out."""
    options = {option.name: option for option in config_options(config_class(Learner), taken={"agent"})}

    assert list(options) == ["steps", "rate", "shuffle", "mode", "weights", "size"]
    assert options["steps"].help == "Rounds of rollouts, each followed by an update.  [default: 4]"
    assert options["size"].help == "[required]"
    assert options["shuffle"].secondary_opts == ["--no-shuffle"]
    assert options["mode"].type.choices == ("fast", "slow")
    assert options["weights"].metavar == "JSON"


def test_values_get_the_types_of_their_fields():
    """Wherever they come from."""
    values = configured(
        Config,
        "learner",
        file={"rate": 1, "shuffle": False, "steps": 1},
        sets=["steps=2", "agent=planner", "weights=[1, 2]"],
        options={"steps": 3, "size": 5},
    )

    made = Config(**values)
    assert (made.steps, made.rate, made.shuffle, made.agent, made.weights) == (3, 1.0, False, "planner", (1.0, 2.0))


@pytest.mark.parametrize(
    ("sets", "error"),
    [
        (["stepz=1"], UnknownName),
        (["steps=few"], BadValue),
        (["mode=slowly"], BadValue),
        (["weights=[1,"], BadValue),
        (["steps"], BadValue),
        ([], BadValue),
    ],
    ids=["unknown", "type", "choice", "json", "no value", "required"],
)
def test_a_value_that_does_not_fit_is_refused(sets, error):
    """By name."""
    given = [*sets, "size=1"] if sets else []

    with pytest.raises(error):
        configured(Config, "learner", file={}, sets=given, options={})
