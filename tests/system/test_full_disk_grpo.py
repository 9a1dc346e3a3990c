"""GRPO on a disk that is really full: it stops with a code, nothing half-written is left, and with room it goes on."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.errors import CheckpointUnwritten

from ._grpo import NEEDED, small_model, trainer
from ._learning import ask

for needed in NEEDED:
    pytest.importorskip(needed)

pytestmark = pytest.mark.slow

_ROOM = "400k"
"""For the files of one update, and for a part of the next one's."""


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


def test_a_full_disk_stops_the_run_and_loses_nothing(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two updates the second has no room: what it wrote is gone; with room the run ends, no rollout twice."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    model, ran = small_model(small_disk.with_name("model")), []

    @agl.rollout
    async def agent(task: Any, llm: agl.LLM) -> float:
        (await ask(llm.endpoint, llm.api_key, llm.model, **llm.sampling_parameters)).raise_for_status()
        ran.append(1)
        return float(len(ran) % 2)

    def fit(**options: Any) -> Any:
        log = small_disk.with_name("log.db")
        grpo = {"steps": 2, "checkpoint_every": 1}
        return trainer(model, log, grpo=grpo).fit(agent, [{"n": 1}], run_id="run-1", **options)

    with pytest.raises(CheckpointUnwritten, match=r"No space left on device.*agl resume"):
        fit()
    left = [file.name for file in small_disk.rglob("ck-*")]
    before = len(ran)
    subprocess.run(["mount", "-o", "remount,size=10m", str(small_disk)], check=True)
    summary = fit(resume="run-1")

    assert (before, len(ran), left) == (4, 4, [])
    assert summary.status == "finished"
    assert len(list((small_disk / "checkpoints").iterdir())) == 2
