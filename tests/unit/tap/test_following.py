"""A program in a process of its own asks a provider directly, and the attempt that started it knows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.testing import Asked, ScriptedModel
from agl_core.trainer import Trainer

ASKS = """
import os, sys, threading
import httpx

def ask(question):
    body = {"model": "policy", "messages": [{"role": "user", "content": question}]}
    reply = httpx.post(os.environ["PROVIDER"] + "/chat/completions", json=body).json()
    return reply["choices"][0]["message"]["content"]

"""


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Where a program is to be."""
    return tmp_path / "program.py"


def fit(tmp_path: Path, model: ScriptedModel, *command: str) -> subprocess.CompletedProcess[str]:
    """One rollout of an agent that starts the command, followed; what became of the command."""
    ended: list[subprocess.CompletedProcess[str]] = []

    @agl.rollout
    def launcher(task: dict[str, Any]) -> None:
        environment = {**os.environ, "PROVIDER": model.url, **agl.environment(None, task)}
        start = [sys.executable, "-m", "agl_core.tap", *command]
        ended.append(
            subprocess.run(
                start, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
            )
        )
        agl.emit_reward(1.0)

    Trainer(store=str(tmp_path / "log.db")).fit(launcher, [{"n": 1}])
    return ended[0]


def rows(tmp_path: Path, sql: str) -> list[Any]:
    """What the log says, opened again."""
    with agl.open_log(str(tmp_path / "log.db")) as log:
        return list(log.rows(sql))


def test_calls_of_a_followed_program_are_the_attempts(tmp_path: Path, program: Path):
    """Also those of a thread that carries no context, and what it emits; nothing in the program tells of us."""
    program.write_text(
        ASKS
        + """
thread = threading.Thread(target=ask, args=("one",))
thread.start(), thread.join()
print(ask("two"))
"""
    )
    with ScriptedModel("four") as model:
        ended = fit(tmp_path, model, "program.py")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "four\n", "")
    ((attempt_id,),) = rows(tmp_path, "select attempt_id from attempts")
    assert rows(tmp_path, "select attempt_id, status from calls") == [(attempt_id, "ok")] * 2


def test_a_followed_program_may_emit(tmp_path: Path, program: Path):
    """Its rewards are the rollout's, as if the agent had given them."""
    program.write_text("import agl_core as agl\nagl.emit_reward(0.25)\n")
    with ScriptedModel() as model:
        fit(tmp_path, model, "program.py")

    assert [value for (value,) in rows(tmp_path, "select value from rewards order by position")] == [0.25, 1.0]


def test_a_program_is_run_as_python_would(tmp_path: Path, program: Path):
    """Its arguments, its name, its neighbours, and the way it ends."""
    (tmp_path / "neighbour.py").write_text("NAME = 'next door'\n")
    program.write_text(
        "import json, sys, neighbour\nprint(json.dumps([sys.argv, __name__, neighbour.NAME]))\nsys.exit(3)\n"
    )
    with ScriptedModel() as model:
        by_path = fit(tmp_path, model, "program.py", "-v", "a b")
        by_name = fit(tmp_path, model, "-m", "program", "-v", "a b")

    assert by_path.returncode == by_name.returncode == 3
    assert json.loads(by_path.stdout) == [["program.py", "-v", "a b"], "__main__", "next door"]
    assert json.loads(by_name.stdout) == [[str(program), "-v", "a b"], "__main__", "next door"]


def test_what_a_program_raises_is_its_own(tmp_path: Path, program: Path):
    """A traceback, the exit status of one, and the calls before it."""
    program.write_text(ASKS + "ask('one')\nraise ValueError('of the program')\n")
    with ScriptedModel("four") as model:
        ended = fit(tmp_path, model, "program.py")

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "ValueError: of the program"
    assert rows(tmp_path, "select status from calls") == [("ok",)]


def test_a_program_that_dies_leaves_no_call_unsaid(tmp_path: Path, program: Path):
    """The one that was answered is there, and of the one under way it is said that nobody knows."""
    program.write_text(ASKS + "print(os.getpid(), file=open('pid', 'w'), flush=True)\nask('one')\nask('two')\n")

    def answer(asked: Asked) -> str:
        if asked.body["messages"][0]["content"] == "two":
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        return "four"

    with ScriptedModel(answer) as model:
        ended = fit(tmp_path, model, "program.py")
    agl.open_store(str(tmp_path / "log.db")).close()

    assert ended.returncode == -signal.SIGKILL
    assert rows(tmp_path, "select status from calls order by status") == [("ok",), ("unknown",)]


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        (("program.py",), 1, "AGL_LOG"),
        ((), 2, "usage"),
        (("missing.py",), 2, "no program missing.py"),
    ],
)
def test_what_cannot_be_followed_is_said_in_a_line(tmp_path: Path, program: Path, command: Any, status: int, said: str):
    """Before the program starts, with the cure, and without a traceback."""
    program.write_text("print('started')\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGL_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path.cwd()), environment.get("PYTHONPATH", "")]))

    ended = subprocess.run(
        [sys.executable, "-m", "agl_core.tap", *command],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (ended.returncode, ended.stdout) == (status, "")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
