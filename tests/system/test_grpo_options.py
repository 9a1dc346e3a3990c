"""What GRPO can be asked for, through whole runs: rows and credits are made as its options say, and it learns."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.events import BatchFormed

from ._grpo import NEEDED, small_model, trainer
from ._learning import ask

for needed in NEEDED:
    pytest.importorskip(needed)

pytestmark = pytest.mark.slow


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two steps on three tasks, tried twice each; the last batch, and the metrics of its step.

    Of the first task both attempts earn the same; of the others, one earns more.
    """
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    model, log, tries = small_model(tmp_path / "model"), tmp_path / "log.db", Counter()

    @agl.rollout
    async def agent(task: Any, llm: agl.LLM) -> float:
        (await ask(llm.endpoint, llm.api_key, llm.model, **llm.sampling_parameters)).raise_for_status()
        tries[task["n"]] += 1
        return float(task["n"] * (tries[task["n"]] % 2))

    def fitted(**grpo: Any) -> tuple[Any, dict[str, float]]:
        grpo = {"steps": 2, "tasks_per_step": 3, "eval_every": 0, **grpo}
        trainer(model, log, grpo=grpo).fit(agent, [{"n": n} for n in range(3)])
        with agl.open_log(str(log), readonly=True) as found:
            *_, batch = (record.event for record in found.read(types=["batch.formed"]))
            metrics = dict(found.rows("select name, value from metrics where step = 2"))
        assert isinstance(batch, BatchFormed)
        return batch, metrics

    return fitted


def test_much_at_once_is_one_run(fit):
    """A batch for the measure, tokens that weigh alike, several epochs, older weights weighed, adapters held back."""
    batch, metrics = fit(
        advantage="reinforce++", aggregation="token_mean", clip_high=0.28, dual_clip=3.0, epochs=2, minibatch=4,
        recompute_old=True, max_staleness=1, kl=0.1, kl_estimator="k2", lora_rank=2,
    )  # fmt: skip

    assert (batch.options["max_staleness"], batch.options["min_group"]) == (1, 1)
    assert batch.options["credit"]["advantage"] == "reinforce++"
    assert (batch.rows, metrics["train/rows"]) == (6, 6)
    assert 0 < metrics["policy/is_weight"] <= 2
    assert metrics["policy/kl_reference"] > 0


def test_groups_that_agree_can_be_left_out(fit):
    """They are counted, and neither learnt from nor divided by."""
    batch, metrics = fit(advantage="rloo", aggregation="constant", zero_variance="leave_out")

    assert (batch.rows, metrics["train/rows"]) == (6, 4)
    assert metrics["group/left_out"] == 1
    assert metrics["group/zero_variance"] == pytest.approx(1 / 3)
