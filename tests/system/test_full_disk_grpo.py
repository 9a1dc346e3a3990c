"""GRPO on a disk that is really full: it stops with a code, nothing half-written is left, and with room it goes on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.engine import Endpoint
from agl_core.errors import CheckpointUnwritten
from agl_core.hookspecs import hookimpl
from agl_core.plugins import Plugins
from agl_core.testing import ScriptedEngine

from ._learning import ask

for needed in ("torch", "transformers", "agl_grpo", "agl_triplets", "agl_rewards"):
    pytest.importorskip(needed)

pytestmark = pytest.mark.slow

_ROOM = "400k"
"""For the files of one update, and for a part of the next one's."""


class Engine(ScriptedEngine):
    """Says where its first weights lie."""

    def __init__(self, folder: Path) -> None:
        super().__init__("4")
        self.folder = folder

    async def start(self) -> Endpoint:
        """Listen."""
        endpoint = await super().start()
        return Endpoint(url=endpoint.url, model=endpoint.model, max_len=endpoint.max_len, folder=self.folder)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A Llama of twenty thousand random weights."""
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
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, where the checkpoints of the log will lie."""
    folder = tmp_path / "log.db.d"
    folder.mkdir(mode=0o700)
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={_ROOM},mode=700", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if not done or done.returncode:
        pytest.skip("nobody may mount a file system here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_the_run_and_loses_nothing(
    small_disk: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two updates the second has no room: what it wrote is gone; with room the run ends, no rollout twice."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    ran = []

    @agl.rollout
    async def agent(task: Any, llm: agl.LLM) -> float:
        (await ask(llm.endpoint, llm.api_key, llm.model, **llm.sampling_parameters)).raise_for_status()
        ran.append(1)
        return float(len(ran) % 2)

    def fit(**options: Any) -> Any:
        plugins = Plugins.load()
        for name in ("triplets", "rewards", "grpo"):
            plugins.register(import_module(f"agl_{name}"), name=name)

        class Opens:
            @hookimpl
            def agl_open_engine(self, url: str) -> Any:
                return Engine(model) if url == "scripted:" else None

        plugins.register(Opens(), name="scripted")
        grpo = plugins.algorithm("grpo")(
            steps=2, tasks_per_step=1, group_size=2, learning_rate=1e-3, device="cpu", checkpoint_every=1
        )
        trainer = agl.Trainer(
            algorithm=grpo, models={"policy": "scripted:"}, store=str(small_disk.with_name("log.db")), plugins=plugins,
            preflight=False,
        )  # fmt: skip
        return trainer.fit(agent, [{"n": 1}], run_id="run-1", **options)

    with pytest.raises(CheckpointUnwritten, match=r"No space left on device.*agl resume"):
        fit()
    left = [file.name for file in small_disk.rglob("ck-*")]
    before = len(ran)
    subprocess.run(["mount", "-o", "remount,size=10m", str(small_disk)], check=True)
    summary = fit(resume="run-1")

    assert (before, len(ran), left) == (4, 4, [])
    assert summary.status == "finished"
    assert len(list((small_disk / "checkpoints").iterdir())) == 2
