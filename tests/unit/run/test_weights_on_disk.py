"""Weights on disk: a disk that is full and files that somebody changed end a run with a code, and it goes on after."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

import agl_core as agl
from agl_core.engine import Checkpoint, Endpoint
from agl_core.errors import CheckpointForeign, CheckpointUnwritten, ModelNotFound, StepFailed
from agl_core.hookspecs import hookimpl
from agl_core.ids import canonical
from agl_core.plugins import Plugins
from agl_core.run import describe
from agl_core.run._checkpoints import MANIFEST, Checkpoints, hashes
from agl_core.testing import ScriptedEngine


class Engine(ScriptedEngine):
    """Says where its first weights lie, if they do anywhere; knows what it was given."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__("4")
        self.folder, self.given = folder, []

    async def start(self) -> Endpoint:
        """Listen."""
        endpoint = await super().start()
        return Endpoint(url=endpoint.url, model=endpoint.model, max_len=endpoint.max_len, folder=self.folder)

    async def load(self, checkpoint: Checkpoint, *, version: int) -> None:
        """Read all of it."""
        self.given.append((checkpoint.folder / "weights").read_text())
        await super().load(checkpoint, version=version)


class Counts:
    """Two rounds: the weights are a number, and each update adds one. `fault` is raised in the second."""

    name = "counts"

    def __init__(self, fault: Exception | None = None) -> None:
        self.fault, self.updated = fault, []

    def add_one(self, checkpoint: Checkpoint, out: Path) -> None:
        """Begins to write before it fails."""
        before = int((checkpoint.folder / "weights").read_text())
        self.updated.append(before)
        (out / "weights").write_text(str(before + 1))
        if before == 1 and self.fault is not None:
            raise self.fault

    async def run(self, run) -> None:
        """Rollouts, an update, and what came of it is served."""
        theta = run.policy()
        for _ in range(2):
            await run.rollouts(run.train)
            theta = (await run.update("update", self.add_one, theta)).checkpoint
            await run.serve(theta)
        await run.rollouts(run.train)


class World:
    """A log, and several lives of one run on it."""

    def __init__(self, folder: Path) -> None:
        self.log, self.model, self.ran = folder / "log.db", folder / "model", 0
        self.model.mkdir()
        (self.model / "weights").write_text("0")
        self.engine = Engine(self.model)

    @property
    def artefacts(self) -> Path:
        """Where checkpoints lie."""
        return self.log.with_name("log.db.d")

    def fit(self, algorithm, *, resume=None):
        """One life."""
        plugins = Plugins.load()

        class Opens:
            @hookimpl
            def agl_open_engine(_self, url):  # noqa: N805 - `self` is the world here
                return self.engine if url == "scripted:" else None

        plugins.register(Opens(), name="scripted")

        @agl.rollout
        async def agent(task) -> float:
            self.ran += 1
            return 1.0

        trainer = agl.Trainer(
            algorithm=algorithm, models={"policy": "scripted:"}, store=str(self.log), plugins=plugins, preflight=False
        )
        return trainer.fit(agent, [{"n": 1}], run_id="run-1", resume=resume)


def _caused(cause):
    """As a step fails of it."""
    error = StepFailed("update", why=str(cause))
    error.__cause__ = cause
    return error


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A fresh one, with no plugin but ours."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    return World(tmp_path)


def test_a_disk_that_is_full_ends_the_run_with_a_code(world):
    """Nothing of what was begun is left; when there is room the run goes on, and no rollout runs again."""
    with pytest.raises(CheckpointUnwritten, match=r"No space left.*agl resume"):
        world.fit(Counts(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    left = list((world.artefacts / "scratch").rglob("ck-*"))
    ran = world.ran

    after = Counts()
    world.fit(after, resume="run-1")

    assert left == []
    assert (ran, world.ran) == (2, 3)
    assert after.updated == [1]


def test_a_checkpoint_that_somebody_changed_is_not_trusted(world):
    """Neither served nor trained on. Without its folder it is made again, and the run goes on."""
    with pytest.raises(StepFailed):
        world.fit(Counts(ValueError("here it ends")))
    (kept,) = (world.artefacts / "checkpoints").iterdir()
    (kept / "weights").write_text("7")

    with pytest.raises(CheckpointForeign, match=f"{kept.name}.*agl resume"):
        world.fit(Counts(), resume="run-1")
    assert world.engine.given[-1] != "7"
    shutil.rmtree(kept)
    after = Counts()
    world.fit(after, resume="run-1")

    assert after.updated == [0, 1]
    assert world.engine.given[-1] == "2"


def test_a_model_that_others_host_is_not_tuned(world):
    """It can be asked; the message says what can be tuned, and how it would be."""
    world.engine.folder = None

    with pytest.raises(ModelNotFound, match=r"'policy'.*cannot be tuned.*transformers:/path"):
        world.fit(Counts())

    assert world.ran == 0


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (OSError(errno.ENOSPC, "full"), CheckpointUnwritten),
        (_caused(OSError(errno.ENOSPC, "full")), CheckpointUnwritten),
        (_caused(OSError(errno.EDQUOT, "quota")), CheckpointUnwritten),
        (_caused(OSError(errno.EROFS, "read only")), CheckpointUnwritten),
        (_caused(OSError(errno.ENOENT, "no such file")), StepFailed),
        (_caused(ValueError("no number")), StepFailed),
    ],
    ids=str,
)
def test_what_a_disk_does_is_told_from_what_a_step_does(tmp_path, raised, expected):
    """A file that a step looked for and did not find is its own; what it began is gone either way."""
    kept = Checkpoints(tmp_path, "run-1")

    with pytest.raises(expected):
        _fail(kept, raised)

    assert list(tmp_path.rglob("ck-*")) == []


def _fail(kept, raised):
    with kept.filling() as out:
        (out / "weights").write_text("1")
        raise raised


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: (folder / "weights").write_text("7"),
        lambda folder: (folder / "weights").unlink(),
        lambda folder: (folder / "more").write_text("7"),
        lambda folder: (folder / MANIFEST).unlink(),
        lambda folder: (folder / MANIFEST).write_text("{"),
        lambda folder: (
            (folder / "weights").write_text("7"),
            (folder / MANIFEST).write_bytes(canonical(hashes(folder))),
        ),
    ],
    ids=["changed", "gone", "added", "no manifest", "no JSON", "both"],
)
def test_what_another_process_wrote_is_read_whole(tmp_path, harm):
    """Once: what this process wrote it knows. A manifest that fits other files has another name."""
    writer, reader = Checkpoints(tmp_path, "run-1"), Checkpoints(tmp_path, "run-1")
    with writer.filling() as out:
        (out / "weights").write_text("1")
        made, _, _ = writer.take(out, keep=True, base=None)
    Checkpoints(tmp_path, "run-1").insist(made.folder)
    harm(made.folder)

    writer.insist(made.folder)
    with pytest.raises(CheckpointForeign, match=made.folder.name):
        reader.insist(made.folder)


def test_a_model_of_the_users_is_theirs(tmp_path):
    """It has no manifest, and was looked at when the run began."""
    Checkpoints(tmp_path / "log.d", "run-1").insist(tmp_path)


def test_what_was_made_again_takes_the_place_of_what_was_changed(tmp_path):
    """The same bytes are kept once; others under their name are not the same bytes."""
    kept = Checkpoints(tmp_path, "run-1")
    for _ in range(2):
        with kept.filling() as out:
            (out / "weights").write_text("1")
            made, _, _ = kept.take(out, keep=True, base=None)
        (made.folder / "weights").write_text("7")

    with kept.filling() as out:
        (out / "weights").write_text("1")
        again, _, _ = kept.take(out, keep=True, base=None)

    assert again == made
    assert (again.folder / "weights").read_text() == "1"
    assert describe(again.folder).digest == again.digest
