"""The algorithm of docs/how-to/write-an-algorithm.md keeps what that page promises of a killed run."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-an-algorithm.md"
WITHOUT_TESTS = {"python -m pytest -q test_prompt_picker.py\n... passed...": "python --version\n..."}
"""Where the page is followed for something else."""
MORTAL = """
import os
import signal
from pathlib import Path

import agent
import agl_core as agl


@agl.rollout
def greet(task: dict, prompt_template: agl.PromptTemplate) -> float:
    ran = Path("ran")
    count = len(ran.read_text()) if ran.exists() else 0
    with ran.open("a") as file:
        file.write("x")
    if count == 18:  # in the second round
        os.kill(os.getpid(), signal.SIGKILL)
    return agent.greet(task, prompt_template)
"""
FORGETFUL = """
from prompt_picker import PromptPicker


class Forgetful(PromptPicker):
    async def score(self, run, prompt, tasks):
        self.seen = getattr(self, "seen", 0) + (not run.result)
        run.result["seen"] = id(self)
        return await super().score(run, prompt, tasks)
"""


def test_a_killed_run_of_the_guides_algorithm_ends_as_if_nothing_had_happened(guide):
    """Nothing finished runs again, the effect of a finished step is not carried out again, the result is the same."""
    guide.follow(PAGE, instead=WITHOUT_TESTS)
    (guide.folder / "mortal.py").write_text(MORTAL)
    train = "agl train mortal:greet --algorithm prompt-picker --train tasks.jsonl --rounds 2 --n-runners 1"

    guide.type(f"{train} --log killed.db", wanted=137)
    ended = json.loads(guide.type("agl resume run- --log killed.db --json --quiet"))

    assert ended["status"] == "finished"
    assert ended["result"] == {"prompt": "Dear {name}!"}
    sql = "select sum(status = 'succeeded') as done, count(*) as rollouts, sum(attempts) as attempts from rollouts"
    (found,) = json.loads(guide.type(f'agl log query "{sql}" --log killed.db --json'))
    assert found["done"] == found["rollouts"] == 32
    assert found["attempts"] == len((guide.folder / "ran").read_text()) == 33, "one attempt died, and ran again"
    sql = (
        "select data ->> 'label' as label, count(*) as n from events where type = 'step.recorded' group by 1 order by 1"
    )
    steps = json.loads(guide.type(f'agl log query "{sql}" --log killed.db --json'))
    assert steps == [{"label": "goes_on", "n": 2}, {"label": "preflight", "n": 1}, {"label": "vary", "n": 2}]
    guide.type("agl log verify --log killed.db")


@pytest.mark.slow
def test_written_from_the_guide_alone_it_passes_the_contract_elsewhere(tmp_path):
    """In a folder and an environment of its own, with nothing of this repository but what is installed there."""
    pytest.importorskip("hatchling")
    python, folder = tmp_path / "venv" / "bin" / "python", tmp_path / "mine"
    folder.mkdir()
    for name, text in re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE.read_text(), re.DOTALL | re.MULTILINE):
        (folder / name).write_text(text)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (site / "parent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AGL_", "PYTHON", "PIP_"))}

    def done(*words):
        """What the program said, when it ended well."""
        told = subprocess.run(words, cwd=folder, env=kept, capture_output=True, text=True, timeout=300, check=False)
        assert told.returncode == 0, told.stdout + told.stderr
        return told.stdout

    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-index", "--no-deps"]
    done(*pip, "--no-build-isolation", ".")
    (folder / "prompt_picker.py").unlink()  # what is installed is what is tested
    (folder / "forgetful.py").write_text(FORGETFUL)
    tests = (folder / "test_prompt_picker.py").read_text()
    broken = tests.replace("lambda: PromptPicker(", "lambda: Forgetful(")
    (folder / "test_forgetful.py").write_text(f"from forgetful import Forgetful\n{broken}")

    kept["AGL_LOAD_PLUGINS"] = "prompt-picker"
    told = done(str(python), "-m", "pytest", "-q", "-W", "error", "test_prompt_picker.py")
    assert re.search(r"\d+ passed", told)
    assert "prompt-picker" in done(str(python), "-m", "agl_core.cli", "plugins")
    failed = subprocess.run(
        [str(python), "-m", "pytest", "-q", "test_forgetful.py"], cwd=folder, env=kept, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert failed.returncode == 1
    assert "test_killed_at_any_movement_and_resumed_it_ends_the_same" in failed.stdout
