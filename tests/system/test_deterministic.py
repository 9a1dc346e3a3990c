"""The same seed under `--deterministic` gives the same run: tokens, rewards, weights."""

from __future__ import annotations

import subprocess
import sys

import pytest

import agl_core as agl

pytest.importorskip("agl_demo")
pytest.importorskip("torch")
pytestmark = pytest.mark.slow

PROGRAM = """
import sys
from dataclasses import replace
from agl_demo._job import Job

job = Job.of("tiny", seed=int(sys.argv[2]), steps=2, deterministic=True, log=sys.argv[1])
tasks = {"train": 16, "val": 2, "test": 4}
grpo = dict(job.preset.grpo, tasks_per_step=4, group_size=4, eval_every=1)
job = replace(job, preset=replace(job.preset, warm_start={"steps": 60}, tasks=tasks, grpo=grpo))
job.run(lambda records: None)
"""


def curve(folder, seed: int) -> dict[str, object]:
    """A short run in a process of its own; what it came to."""
    path = folder / "log.db"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), str(seed)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with agl.open_log(str(path), readonly=True) as log:
        calls = [record.event.call for record in log.read(types=["call.recorded"])]
        return {
            "tokens": [choice.token_ids for call in calls for choice in call.choices],
            "metrics": log.rows(
                "select step, name, value from metrics "
                "where name not like '%per_second' and name not like 'time/%' order by name, step"
            ),
            # The file of the weights: what lies beside it names the rollouts it came from, and those have ids.
            "weights": [saved.event.files["model.safetensors"] for saved in log.read(types=["checkpoint.saved"])],
        }


def test_the_same_seed_gives_the_same_run(tmp_path):
    """Two processes agree to the last bit; another seed differs."""
    first, second = curve(tmp_path / "a", 5), curve(tmp_path / "b", 5)

    assert first["tokens"] == second["tokens"]
    assert first["metrics"] == second["metrics"]
    assert first["weights"] == second["weights"]
    assert len(first["weights"]) == 2, "of the warm start, and of the last step"
    assert curve(tmp_path / "c", 6)["tokens"] != first["tokens"]
