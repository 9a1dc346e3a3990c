"""Pairs from groups that lie in a log: nobody runs, and no judge is asked again."""

from __future__ import annotations

import asyncio
import json
from itertools import count
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.algorithm import Collect
from agl_core.cli import agl as command
from agl_core.testing import ScriptedModel


@agl.rollout
def solve(task, policy: agl.LLM) -> float:
    """Earns as much as the model says."""
    body = {"model": policy.model, "messages": [{"role": "user", "content": task["q"]}]}
    headers = {"authorization": f"Bearer {policy.api_key}"}
    reply = httpx.post(f"{policy.endpoint}/chat/completions", json=body, headers=headers, timeout=20)
    return float(reply.json()["choices"][0]["message"]["content"])


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Of two tasks, each with three answers: 1, 2 and 3 in some order, then 4, 5 and 6."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "messages")
    numbers = count(1)
    with ScriptedModel(lambda _asked: str(next(numbers))) as model:
        trainer = agl.Trainer(
            algorithm=Collect(samples=3), store=str(tmp_path / "log.db"), models={"policy": f"{model.url}#policy"},
            deterministic=True,
        )  # fmt: skip
        trainer.fit(solve, [{"q": "low?"}, {"q": "high?"}])
    return str(tmp_path / "log.db")


def pairs(log, *words):
    """Prompt, better and worse answer of each row that `agl export openai-dpo` writes."""
    out = f"{log}.pairs.jsonl"
    done = CliRunner().invoke(command, ["export", "openai-dpo", *words, "--out", out, "--force", "--log", log, "-q"])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in Path(out).read_text().splitlines()]
    return [
        (
            row["input"]["messages"][-1]["content"],
            row["preferred_output"][0]["content"],
            row["non_preferred_output"][0]["content"],
        )
        for row in rows
    ]


def test_pairs_come_of_the_groups_of_a_log_as_it_is_and_as_it_was(log):
    """A reward that is given later turns a pair round, and `--at` turns it back; a run is named, or none."""
    with agl.open_log(log) as opened:
        head, ((run_id,),) = opened.head(), opened.rows("select run_id from runs")
        best = opened.rows("select rollout_id from rollouts order by position limit 1")[0][0]
        store = agl.Store(opened)
        asyncio.run(store.add_reward(best, 9.0))
        store.close()

    assert pairs(log, run_id, "--at", str(head)) == [("low?", "3", "1"), ("high?", "6", "4")]
    assert pairs(log) == [("low?", "1", "2"), ("high?", "6", "4")]


def test_what_a_judge_gave_makes_other_pairs(log):
    """By its name; the better one is the one it prefers."""
    words = ["--mode", "score", "--judge", 'regex:{"pattern": "[14]"}', "--log", log]
    with agl.open_log(log, readonly=True) as opened:
        run_id = opened.rows("select run_id from runs")[0][0]
    assert CliRunner().invoke(command, ["replay", run_id, *words]).exit_code == 0

    assert [(better, worse) for _, better, worse in pairs(log, "--reward", "regex")] == [("1", "2"), ("4", "5")]
