"""GRPO through rounds in which everything fails, and rounds in which some does: it logs them and goes on."""

from __future__ import annotations

import logging
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
    """Train an agent by GRPO on one task, a pair of attempts a step; the batches and metrics that the log has."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    model = small_model(tmp_path / "model")

    def fitted(agent: Any, *, steps: int, **options: Any) -> tuple[list[BatchFormed], dict[int, dict[str, float]]]:
        log = tmp_path / "log.db"
        options = {"rollout_config": agl.RolloutConfig(max_attempts=1), **options}
        trainer(model, log, grpo={"steps": steps}, **options).fit(agent, [{"n": 1}])
        with agl.open_log(str(log), readonly=True) as found:
            batches = [record.event for record in found.read(types=["batch.formed"])]
            metrics: dict[int, dict[str, float]] = {}
            for step, name, value in found.rows("select step, name, value from metrics"):
                metrics.setdefault(step, {})[name] = value
        return batches, metrics

    return fitted


class Falters:
    """An agent that asks, then raises in its first `failures` attempts; after that it earns 0 and 1 in turn."""

    def __init__(self, failures: int) -> None:
        self.left, self.good = failures, 0

    def agent(self) -> Any:
        """It."""

        @agl.rollout
        async def falters(task: Any, llm: agl.LLM) -> float:
            (await ask(llm.endpoint, llm.api_key, llm.model, **llm.sampling_parameters)).raise_for_status()
            if self.left:
                self.left -= 1
                raise LookupError("no such page")
            self.good += 1
            return float(self.good % 2)

        return falters


def test_steps_without_a_row_do_not_end_training(fit, caplog):
    """Two rounds of which nothing is left are logged as such, and said aloud; the third one trains."""
    with caplog.at_level(logging.WARNING, "agl_core.run._rounds"):
        batches, metrics = fit(Falters(4).agent(), steps=3)

    assert [(batch.masked, batch.rows) for batch in batches] == [({"agent_raised": 2}, 0)] * 2 + [({}, 2)]
    assert [metrics[step]["reward/n"] for step in (1, 2, 3)] == [0, 0, 2]
    assert ["policy/grad_norm" in metrics[step] for step in (1, 2, 3)] == [False, False, True]
    said = [one.getMessage() for one in caplog.records if "nothing can be learnt from 2" in one.getMessage()]
    assert len(said) == 2


def test_a_failure_is_no_loss_unless_the_run_says_so(fit):
    """Its calls train on nothing by default, and its sibling has nobody to beat; with a zero, both learn from it."""
    (batch,), _ = fit(Falters(1).agent(), steps=1)

    assert (batch.captured, batch.rows, batch.masked, batch.zeroed) == (2, 0, {"agent_raised": 1}, {})


def test_a_failure_that_counts_as_zero_is_in_its_group(fit):
    """It is what its sibling beats."""
    (batch,), metrics = fit(Falters(1).agent(), steps=1, failures={"framework": "zero"})

    assert (batch.rows, batch.masked, batch.zeroed) == (2, {}, {"agent_raised": 1})
    assert metrics[1]["reward/mean"] == 0.5
    assert "policy/grad_norm" in metrics[1]
