"""GRPO through rounds in which everything fails, and rounds in which some does: it logs them and goes on."""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.engine import Endpoint
from agl_core.events import BatchFormed
from agl_core.hookspecs import hookimpl
from agl_core.plugins import Plugins
from agl_core.testing import ScriptedEngine

from ._learning import ask

for needed in ("torch", "transformers", "agl_grpo", "agl_triplets", "agl_rewards"):
    pytest.importorskip(needed)

pytestmark = pytest.mark.slow


class Engine(ScriptedEngine):
    """Says what it is told to, and that a small model lies in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__("4")
        self.folder = folder

    async def start(self) -> Endpoint:
        """Listen, and say where the weights are."""
        endpoint = await super().start()
        return Endpoint(url=endpoint.url, model=endpoint.model, max_len=endpoint.max_len, folder=self.folder)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A Llama with random weights over the tokens of a scripted model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=260, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=256, tie_word_embeddings=True,
    )  # fmt: skip
    folder = tmp_path / "model"
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def fit(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Train an agent by GRPO on one task, a pair of attempts a step; the batches and metrics that the log has."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")

    def fitted(agent: Any, *, steps: int, **options: Any) -> tuple[list[BatchFormed], dict[int, dict[str, float]]]:
        plugins = Plugins.load()
        for name in ("triplets", "rewards", "grpo"):
            plugins.register(import_module(f"agl_{name}"), name=name)

        class Opens:
            @hookimpl
            def agl_open_engine(self, url: str) -> Any:
                return Engine(model) if url == "scripted:" else None

        plugins.register(Opens(), name="scripted")
        grpo = plugins.algorithm("grpo")(steps=steps, tasks_per_step=1, group_size=2, learning_rate=1e-3, device="cpu")
        log = str(tmp_path / "log.db")
        agl.Trainer(
            algorithm=grpo, models={"policy": "scripted:"}, store=log, plugins=plugins, preflight=False,
            rollout_config=agl.RolloutConfig(max_attempts=1), **options,
        ).fit(agent, [{"n": 1}])  # fmt: skip
        with agl.open_log(log, readonly=True) as found:
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
