"""An agent that ran once on a model that is gone, and the log of it."""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.projections import CORE
from agl_core.replay import Replayed, replay
from agl_core.testing import ScriptedModel


@dataclass
class Recorded:
    """A log that holds one run, and the agent of that."""

    agent: Any
    path: Path
    plugins: Plugins
    rollouts: list[str] = field(default_factory=list)

    def read(self):
        """The log, for reading."""
        return SqliteLog(self.path, projections=CORE, readonly=True)

    def replay(self, agent=None, **options) -> Replayed:
        """Its first rollout, run again."""
        options = {"plugins": self.plugins, **options}
        return replay(self.path, options.pop("rollout_id", self.rollouts[0]), agent=agent or self.agent, **options)

    def events(self, type_, log=None):
        """All events of a type, of this log or of the one at a path."""
        with SqliteLog(log or self.path, projections=CORE, readonly=True) as opened:
            return [record.event for record in opened.read(types=[type_])]


@pytest.fixture
def record(tmp_path, alone):
    """Runs an agent on a scripted model, which is shut down: a replay that asks it finds nobody."""
    return functools.partial(recorded, tmp_path / "log.db")


@pytest.fixture(scope="module")
def record_once(tmp_path_factory, alone):
    """The same, for what several tests only read."""
    return functools.partial(recorded, tmp_path_factory.mktemp("recorded") / "log.db")


@pytest.fixture(scope="module")
def alone():
    """The core's own plugins, and no others: what else is installed is not what these tests are of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGL_LOAD_PLUGINS", "builtin")
        yield


def recorded(path, agent, script="ok", *, tasks=({"n": 1},), resources=None, extra=None, **options) -> Recorded:
    """One run of the agent; `extra` is a plugin."""
    plugins = Plugins.load()
    if extra is not None:
        plugins.register(extra, name="extra")
    with ScriptedModel(script) as model:
        given = {"llm": agl.LLM(endpoint=model.url, model=model.model)} if resources is None else resources
        trainer = agl.Trainer(
            initial_resources=given, store=path, n_runners=1, plugins=plugins, algorithm=agl.Baseline(), **options
        )
        trainer.fit(agent, train_dataset=list(tasks))
    found = Recorded(agent, path, plugins)
    with found.read() as log:
        found.rollouts = [id_ for (id_,) in log.rows("select rollout_id from rollouts order by position")]
    return found
