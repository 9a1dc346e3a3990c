"""An algorithm that changes weights keeps its promises, too: what was served and promoted is the same in every life."""

from dataclasses import replace

import pytest

import agl_core as agl
from agl_core.events import PolicyPromoted, PolicyUpdated
from agl_core.hookspecs import hookimpl
from agl_core.plugins import Plugins
from agl_core.testing import AlgorithmContract, ScriptedEngine

WORTH = [0.2, 0.6, 0.4]
"""Of the weights of each round."""


class Engine(ScriptedEngine):
    """Says where its first weights lie."""

    def __init__(self, folder):
        super().__init__("4")
        self.folder = folder

    async def start(self):
        """Listen."""
        return replace(await super().start(), folder=self.folder)


class Opens:
    """A plugin that brings it."""

    def __init__(self, folder):
        self.folder = folder

    @hookimpl
    def agl_open_engine(self, url):
        """By its name."""
        return Engine(self.folder) if url == "scripted:" else None


def one_more(checkpoint, out, rewards):
    """The weights are a number."""
    (out / "weights").write_text(str(int((checkpoint.folder / "weights").read_text()) + 1))
    return {"rewards": len(rewards)}


class Adding:
    """Makes new weights each round, and serves them."""

    name = "adding"

    async def run(self, run):
        """As many rounds as it may; every second checkpoint is kept."""
        theta = run.policy()
        for step, worth in enumerate(WORTH):
            if not await run.goes_on():
                break
            outcomes = await run.rollouts(run.rng("tasks").sample(run.train, 2), label="train")
            rewards = [outcome.reward for outcome in outcomes]
            updated = await run.update("update", one_more, theta, rewards, keep=step % 2 == 0)
            theta = updated.checkpoint
            await run.serve(theta)
            run.log(step=step, **{"val/reward": worth})
        run.result["version"] = run.version()


def promoted(path):
    """Versions that were promoted, and the weights they had; and those that were served."""
    with agl.open_log(str(path), readonly=True) as log:
        best = [(event.version, event.checkpoint) for event in events(log, PolicyPromoted)]
        return best, [(event.version, event.checkpoint) for event in events(log, PolicyUpdated)]


def events(log, kind):
    """Of that kind."""
    return [record.event for record in log.read(types=[kind.type])]


class TestAdding(AlgorithmContract):
    """With a reaction that promotes what it serves."""

    deaths, cancels = 6, 1

    @pytest.fixture
    def make(self):
        """Three rounds."""
        return Adding

    @pytest.fixture
    def options(self, tmp_path, monkeypatch):
        """A model whose weights are a number."""
        monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "weights").write_text("0")
        plugins = Plugins.load()
        plugins.register(Opens(folder), name="scripted")
        return {"models": {"policy": "scripted:"}, "plugins": plugins, "reactions": "promote_best"}

    def test_the_best_weights_are_promoted_however_often_it_is_killed(self, lives):
        """Those of the second round, after those of the first; not those of the third."""
        best, served = promoted(lives.whole().path)
        images = lives.images()

        assert best == served[:2]
        assert [version for version, _ in served] == [1, 2, 3]
        for image in images[:: len(images) // 2]:
            resumed = lives.resumed(image, f"promoted-{image.head}")
            assert promoted(resumed.path) == (best, served), image.before
