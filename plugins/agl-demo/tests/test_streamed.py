"""The demo with a streaming agent: what is recorded and trained on is what the agent that waits would have left."""

from __future__ import annotations

import subprocess
import sys

import pytest

import agl_core as agl

pytest.importorskip("openai")
pytest.importorskip("torch")
pytestmark = pytest.mark.slow

PROGRAM = """
import sys
from dataclasses import replace
from agl_demo._job import Job

job = Job.of("tiny", seed=5, steps=1, deterministic=True, stream=sys.argv[2] == "True", log=sys.argv[1])
tasks = {"train": 8, "val": 1, "test": 2}
grpo = dict(job.preset.grpo, tasks_per_step=2, group_size=4, eval_every=0)
warm_start = {"steps": 20, "demonstrations": 640}
job = replace(job, preset=replace(job.preset, warm_start=warm_start, tasks=tasks, grpo=grpo))
job.run(lambda records: None)
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What a short run leaves in its log, by whether it streams."""
    return {stream: _told(tmp_path_factory.mktemp("run") / "log.db", stream=stream) for stream in (False, True)}


def _told(path, *, stream):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), str(stream)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with agl.open_log(str(path), readonly=True) as log:
        return {
            "calls": [record.event for record in log.read(types=["call.recorded"])],
            "batches": log.rows("select captured, kept, dropped from batches"),
            "weights": [saved.event.files["model.safetensors"] for saved in log.read(types=["checkpoint.saved"])],
        }


def test_a_streamed_call_is_kept_with_ids_and_log_probabilities(told):
    """One of each for every token, and the model's version; the first piece came before the last."""
    calls = told[True]["calls"]

    assert calls
    for call in calls:
        assert (call.status, call.call.provenance) == ("ok", "engine")
        assert call.first_token is not None
        assert call.policy_version is not None
        assert call.call.prompt_token_ids
        for choice in call.call.choices:
            assert len(choice.token_ids) == len(choice.logprobs) > 0


def test_a_streamed_run_is_the_run_that_waits(told):
    """The same seed gives the same tokens, words and log-probabilities, the same rows, and the same weights after."""
    assert [_said(call) for call in told[True]["calls"]] == [_said(call) for call in told[False]["calls"]]
    assert told[True]["batches"] == told[False]["batches"]
    assert told[True]["weights"] == told[False]["weights"]
    assert [call.first_token for call in told[False]["calls"]] == [None] * len(told[False]["calls"])


def _said(call):
    choices = [
        (choice.message.content or "", choice.finish_reason, choice.token_ids, choice.logprobs)
        for choice in call.call.choices
    ]
    return call.call.prompt_token_ids, choices
