"""An algorithm that is a function is found again by its name, as one that is a class is."""

from __future__ import annotations

from typing import Any

import pytest

import agl_core as agl
from agl_core.trainer import check_history, resume

DIES: list[bool] = []


@agl.rollout
def idle(task: Any) -> float:
    """Asks nobody."""
    return 1.0


@agl.algo
async def twice(run: agl.Run) -> None:
    """Two rounds; between them it may die."""
    await run.rollouts(run.train)
    if DIES:
        raise KeyError("gone")
    run.result["rewards"] = len(await run.rollouts(run.train))


def test_a_run_of_a_function_is_resumed_from_its_log(tmp_path, monkeypatch):
    """And gone through again."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    path = str(tmp_path / "log.db")
    trainer = agl.Trainer(algorithm=twice, store=path, preflight=False)
    monkeypatch.setattr(f"{__name__}.DIES", [True])
    with pytest.raises(KeyError):
        trainer.fit(idle, [{"n": 0}], run_id="run-1")
    monkeypatch.setattr(f"{__name__}.DIES", [])

    summary = resume("run-1", log=path)

    assert summary.result == {"rewards": 1}
    assert [checked.outcome for checked in check_history(path)] == ["same"]
