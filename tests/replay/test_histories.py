"""Today's algorithms go through the runs that each release has recorded: what is under way anywhere can be resumed.

`python scripts/record_histories.py` records those of a release, and never another in the place of one.
"""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import pytest

from agl_core.algorithm import Baseline
from agl_core.run import Run
from agl_core.trainer import check_history

FOLDER = Path(__file__).parent
HISTORIES = sorted(FOLDER.glob("*/*.jsonl.gz"))
NEEDS = {
    "apo": ("agl_apo",),
    "grpo": ("agl_grpo", "agl_triplets", "agl_rewards", "torch", "transformers"),
    "pareto": ("agl_apo",),
    "promote-best": ("agl_apo",),
    "sft": ("agl_sft", "agl_triplets", "torch", "transformers", "trl"),
}
"""What brings the code of a history."""
NEEDS |= dict.fromkeys(("grpo-in-flight", "promote-best-weights"), NEEDS["grpo"])
SLOW = {"grpo", "grpo-in-flight", "promote-best-weights", "sft"}
"""They import PyTorch."""
MOST = 64 * 1024
"""Bytes."""


def named(path: Path) -> str:
    """Release and algorithm."""
    return f"{path.parent.name}/{path.name.removesuffix('.jsonl.gz')}"


def marked(path: Path) -> object:
    """As a parameter."""
    name = path.name.removesuffix(".jsonl.gz")
    return pytest.param(path, id=named(path), marks=[pytest.mark.slow] if name in SLOW else [])


@pytest.mark.parametrize("path", [marked(path) for path in HISTORIES])
def test_todays_code_goes_through_every_history(path):
    """Each movement, each decision of a reaction and the result are those that were recorded."""
    missing = [name for name in NEEDS.get(path.name.removesuffix(".jsonl.gz"), ()) if find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")

    (checked,) = check_history(path)

    assert checked.outcome == "same", str(checked.error)
    assert checked.movements > 0


@pytest.mark.parametrize("path", HISTORIES, ids=named)
def test_a_history_is_small_and_tells_of_nobody(path):
    """It is committed: a few tens of kB, and no path, host or key of whoever recorded it."""
    text = gzip.decompress(path.read_bytes()).decode()

    assert path.stat().st_size <= MOST
    assert not [word for word in ("/home/", "/Users/", "/root/", "agl-history-", "sk-") if word in text]


def test_each_algorithm_and_reaction_that_is_shipped_has_a_history():
    """Of one release at least."""
    names = {path.name.removesuffix(".jsonl.gz") for path in HISTORIES}

    assert names >= {"apo", "baseline", "grpo", "pareto", "promote-best", "sft", "stop-early"}


class Mutated(Baseline):
    """Validates before it trains, as no release did."""

    async def run(self, run: Run) -> None:
        """The other way round."""
        await run.rollouts(run.val, mode="val", label="val")
        await super().run(run)


def test_an_algorithm_that_was_changed_is_found_out():
    """Where it first does something else, with both sides and the line."""
    (path,) = (path for path in HISTORIES if named(path).endswith("/baseline"))

    (checked,) = check_history(path, algorithm=Mutated(n_epochs=3))

    assert checked.outcome == "diverged"
    assert checked.error is not None
    assert checked.error.key.endswith("/rollouts/val/3")
    assert "_baseline.py" in checked.error.where


def test_a_task_more_is_found_out(monkeypatch):
    """Of what is handed out, the first that differs is told, with its words."""
    (path,) = (path for path in HISTORIES if named(path).endswith("/baseline"))
    monkeypatch.setattr(Baseline, "run", _with_a_task_more)

    (checked,) = check_history(path)

    assert checked.error is not None
    assert "rollout 4 was nothing and is" in str(checked.error)
    assert '"n":99' in str(checked.error)
    assert "test_histories.py" in checked.error.where


async def _with_a_task_more(_self: Baseline, run: Run) -> None:
    await run.rollouts([*run.train, {"n": 99}], mode="train", label="train")
