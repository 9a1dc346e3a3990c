"""Budgets, prices and plans on the command line."""

import json
import os

import pytest

from agl_core.cli._budgets import named_budget, named_prices
from agl_core.errors import BadValue
from agl_core.testing import ScriptedModel

AGENTS = """
import httpx
import agl_core as agl
from agl_core.run import Plan, Planned

@agl.rollout
def graded(task, llm: agl.LLM):
    headers = {"authorization": f"Bearer {llm.api_key}"}
    body = {"model": llm.model, "messages": [{"role": "user", "content": "How good?"}]}
    reply = httpx.post(f"{llm.endpoint}/chat/completions", headers=headers, json=body, timeout=60).json()
    return float(reply["choices"][0]["message"]["content"])

class Search:
    name = "search"

    async def run(self, run):
        await run.rollouts(run.train)

    def plan(self, tasks, budget):
        first = Planned.exactly("base", rollouts=tasks["val"])
        small = budget.calls is not None and budget.calls < 5
        why = "it pays for no candidate" if small else None
        return Plan(lines=(first, Planned(what="round 1", rollouts=(2, 8), questions=(1, 4))), too_small=why)

class Silent:
    name = "silent"

    async def run(self, run):
        pass
"""


@pytest.fixture
def run(tmp_path, type_in):
    """Type a command line in a folder with agents, an algorithm and tasks."""
    (tmp_path / "agents.py").write_text(AGENTS)
    (tmp_path / "tasks.jsonl").write_text("".join(f'{{"q": {n}}}\n' for n in range(6)))
    environment = {name: value for name, value in os.environ.items() if name != "AGL_LOG"}
    return lambda *arguments: type_in(arguments, cwd=tmp_path, env=environment)


def test_budgets_and_prices_are_read():
    """Whole numbers, money, and names with anything in them."""
    assert named_budget(["calls=500", "usd=2.5"]) == {"calls": 500, "usd": 2.5}
    assert named_prices(["critic=0.15/0.60", "https://host/v1#org/m=1/2"]) == {"critic": (0.15, 0.6), "org/m": (1, 2)}
    assert named_budget([]) is named_prices([]) is None


@pytest.mark.parametrize("text", ["calls", "calls=2.5", "calls=many", "seconds=5", "=5", ""])
def test_a_budget_of_another_form_is_refused(text):
    """With the form it has."""
    with pytest.raises(BadValue, match="calls=500"):
        named_budget([text])


@pytest.mark.parametrize("text", ["critic", "critic=1", "critic=a/b", "=1/2", "critic=1/2/3"])
def test_a_price_of_another_form_is_refused(text):
    """With the form it has."""
    with pytest.raises(BadValue, match=r"0\.15/0\.60"):
        named_prices([text])


def test_a_run_that_is_spent_says_how_to_go_on(run):
    """What it went for, what it was, and the line to type; typed with more, it ends, and shows what it cost."""
    with ScriptedModel("0.5") as model:
        stopped = run("run", "agents:graded", "--tasks", "tasks.jsonl", "--model", f"{model.url}#policy",
                      "--budget", "calls=4", "--price", "policy=1/2")  # fmt: skip
        heard = len(model.requests)
        (line,) = [line for line in stopped.stderr.splitlines() if "go on with: " in line]
        words = line.partition("go on with: agl ")[2].replace("calls=MORE", "calls=10").split()
        done = run(*words, "--json")
        shown = json.loads(run("runs", "show", "--json").stdout)

    assert (stopped.returncode, heard, done.returncode, len(model.requests)) == (1, 4, 0, 6)
    assert "error[BUDGET_SPENT]" in stopped.stderr
    assert "4 of 4 calls" in stopped.stderr
    assert "plan: 6 rollouts" in stopped.stderr
    assert json.loads(done.stdout)["result"]["train"]["n"] == 6
    (row,) = shown["spending"]
    assert (shown["budget"], shown["prices"]) == ({"calls": 10}, {"policy": [1, 2]})
    assert (row["model"], row["role"], row["requests"], shown["spent"]["calls"]) == ("policy", "policy", 6, 6)
    assert row["usd"] == shown["spent"]["usd"] == (row["prompt_tokens"] + 2 * row["completion_tokens"]) / 1e6


def test_a_plan_is_said_and_nothing_runs(run, tmp_path):
    """Line by line, with what it comes to; nobody is asked, and no log comes to be."""
    given = ("train", "agents:graded", "--algorithm", "agents:Search", "--train", "tasks.jsonl", "--val", "tasks.jsonl")

    shown = run(*given, "--plan", "--budget", "calls=100")
    told = run(*given, "--plan", "--json")

    assert shown.returncode == told.returncode == 0, shown.stderr
    assert "round 1  2 to 8    1 to 4" in shown.stdout
    assert "9 to 18 calls if each rollout makes one call; budget calls=100: enough" in shown.stdout
    assert json.loads(told.stdout)["plan"]["calls"] == [9, 18]
    assert not (tmp_path / ".agl").exists()


def test_a_budget_that_pays_for_nothing_useful_is_refused(run, tmp_path):
    """Before anything is spent, by the plan and by the run itself."""
    given = ("train", "agents:graded", "--algorithm", "agents:Search", "--train", "tasks.jsonl", "--budget", "calls=4")

    planned, begun = run(*given, "--plan"), run(*given)

    assert planned.returncode == begun.returncode == 1
    assert all("BUDGET_TOO_SMALL" in done.stderr for done in (planned, begun))
    assert "it pays for no candidate" in begun.stderr
    assert not (tmp_path / ".agl").exists()


def test_an_algorithm_that_says_nothing_ahead_is_told(run):
    """Not every one can."""
    done = run("train", "agents:graded", "--algorithm", "agents:Silent", "--train", "tasks.jsonl", "--plan")

    assert done.returncode == 0, done.stderr
    assert "agents:Silent does not say ahead" in done.stdout
