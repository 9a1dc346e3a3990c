"""SmolLM2 learns tasks of others: that it runs, that nothing is lost, and that what is shown was measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.trainer import RunSummary

pytest.importorskip("openai")

from examples.learning import critic, functions, proofs
from examples.learning.__main__ import main

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "docs/explanation/curves"
PROOFS = ("apo", "grpo", "sft")
WEATHER = {
    "name": "weather.get",
    "types": {"city": "string", "days": "integer", "wind": "float", "hourly": "boolean"},
    "required": ["city", "hourly"],
    "accepted": {"city": ["New York", "NYC"], "days": [3], "wind": ["", 1.0], "hourly": ["", True]},
}


@pytest.mark.parametrize("name", PROOFS)
def test_a_curve_of_the_docs_is_what_the_command_draws_of_its_figures(name, tmp_path):
    """To the byte; and the figures come out as they went in."""
    done = learning("curves", KEPT / f"{name}.json", "--out", tmp_path)

    assert done.returncode == 0, done.stderr
    for drawn in (f"{name}.svg", f"{name}.json"):
        assert (tmp_path / drawn).read_text() == (KEPT / drawn).read_text()


@pytest.mark.parametrize("name", PROOFS)
def test_the_page_says_what_the_figures_say(name):
    """Every gain with its interval, of every seed."""
    page = (ROOT / "docs/explanation/learning-curves.md").read_text()

    for run in json.loads((KEPT / f"{name}.json").read_text())["runs"]:
        gain = run["result"]["difference"]
        assert f"{gain['mean']:+.2f} ({gain['ci95'][0]:.2f} to {gain['ci95'][1]:.2f})" in page


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("weather.get(city='New York', days=3, hourly=True)", 1.0),
        ("weather.get(city='New York', days=3)", 0.6),
        ("  weather.get(city='new-york', days=3, wind=1, hourly=True)\nThat is all.", 1.0),
        ("weather.get(city='Boston', days=3, hourly=True)", 0.6),
        ("weather.get(city='NYC', hourly=True)", 0.6),
        ("weather.get(city='NYC', days='3', hourly=True)", 0.6),
        ("weather.get(city='NYC', days=True, hourly=True)", 0.6),
        ("weather.get(city='NYC', days=3, hourly=1)", 0.6),
        ("weather.get(city='NYC', days=3, hourly=True, unit='C')", 0.65),
        ("weather.get()", 0.2),
        ("weather.ask(city='NYC', days=3)", 0.0),
        ("weather.get('NYC', 3)", 0.0),
        ("weather.get(city=where, days=3)", 0.0),
        ("It is 1st of all (cold", 0.0),
        ("", 0.0),
    ],
)
def test_a_call_earns_what_the_leaderboards_answers_say(reply, score):
    """All right is 1; a call of the function is 0.2, and its right arguments share 0.6; all else is nothing."""
    assert functions.score(WEATHER, reply) == pytest.approx(score)


@pytest.mark.parametrize(("package", "of"), [("reasoning_gym", "question"), ("bfcl_eval", "name")])
def test_what_is_held_out_is_nowhere_else(package, of):
    """Whatever the seeds: what the test split of one holds, no other split of another does."""
    pytest.importorskip(package)
    from examples.learning.proofs import PROOFS

    proof = PROOFS["grpo" if package == "reasoning_gym" else "sft"]
    first, second = (proof.tasks(seed, train=1000, val=1000, test=1000) for seed in (0, 1))

    assert {task[of] for task in first["test"]}.isdisjoint(task[of] for task in [*second["train"], *second["val"]])
    assert {task[of] for task in first["val"]}.isdisjoint(task[of] for task in second["train"])
    assert all(len(first[split]) >= count for split, count in proof.counts.items())


def test_reasoning_gyms_own_scorer_gives_the_reward():
    """Of the last number that is said; a minus between blanks is no sign."""
    pytest.importorskip("reasoning_gym")
    from examples.learning import arithmetic

    task = {"question": "Calculate 4 - 1.", "answer": "3"}

    assert [arithmetic.score(task, reply) for reply in ("3", "4 - 1 = 3.", "4 - 3", "-3", "30", "none", "")] == [
        1.0, 1.0, 1.0, 0.5, 0.5, 0.0, 0.0,
    ]  # fmt: skip


def test_the_double_edits_as_it_criticised():
    """An idea in words, and the prompt that comes of it, the good ones among the others."""
    prompts = dict(critic.IDEAS)

    assert len(prompts) == len(critic.IDEAS)
    for prompt in (critic.BASE, *prompts.values()):
        assert agl.PromptTemplate(template=prompt, engine="f-string").format(question="Calculate 1 + 1.").count("1 + 1")


@pytest.mark.parametrize(("gained", "status"), [(0.19, 1), (0.2, 0)])
def test_a_gain_below_what_is_asserted_fails_the_command(gained, status, monkeypatch, tmp_path):
    """And says both numbers."""
    result = {"difference": {"mean": gained, "n": 80, "ci95": [gained - 0.1, gained + 0.1]}}
    summary = RunSummary(run_id="run-1", log="proof.db", status="finished", result=result)
    for name in ("HF_HUB_OFFLINE", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # which the command sets, and nobody would unset
    monkeypatch.setattr(proofs, "prove", lambda *_, **__: summary)

    done = CliRunner().invoke(main, ["sft", "--assert-gain", "0.2", "--json", "--quiet", "--log", f"{tmp_path}/log.db"])

    assert done.exit_code == status
    assert json.loads(done.stdout)["difference"]["mean"] == gained
    assert ("+0.190" in done.stderr and "+0.200" in done.stderr) == bool(status)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "package"), [("grpo", "reasoning_gym"), ("sft", "bfcl_eval"), ("apo", "reasoning_gym")]
)
def test_a_short_proof_runs_from_the_real_model_to_the_sealed_split(name, package, tmp_path):
    """By the command of the docs: every call is kept or dropped with a reason, and what is to learn has moved."""
    for module in (f"agl_{name}", "agl_transformers", "torch", "gguf", package):
        pytest.importorskip(module)
    _skip_without_weights()
    log = tmp_path / "proof.db"

    done = learning(name, "--short", "--json", "--quiet", "--log", log, seconds=400)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    with agl.open_log(str(log), readonly=True) as kept:
        batches = kept.rows("select captured, kept, dropped from batches", {})
        calls = kept.rows("select count(*) from calls", {})[0][0]
        updates = kept.rows("select count(*) from events where type = 'policy.updated'", {})[0][0]
    assert all(captured == taken + sum(json.loads(dropped).values()) for captured, taken, dropped in batches)
    assert calls > 0
    assert (updates > 0) == (name != "apo")
    if name != "apo":  # a search that finds no better prompt leaves the seal alone
        assert told["reward_before"]["n"] == told["reward_after"]["n"] == 8


def learning(*arguments, seconds=60):
    """`python -m examples.learning`, in the checkout."""
    return subprocess.run(
        [sys.executable, "-m", "examples.learning", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds,
    )  # fmt: skip


def _skip_without_weights():
    smollm2 = pytest.importorskip("agl_demo._smollm2")
    try:
        smollm2.folder()
    except agl.AglError as error:
        pytest.skip(str(error))
