"""A run is wired from whatever its parts are given as, and every refusal says what, why and the cure."""

from __future__ import annotations

import socket

import pytest

import agl_core as agl
from agl_core.algorithm import Baseline
from agl_core.errors import (
    AglError,
    BadValue,
    EngineFailed,
    NoRunnersLeft,
    NotFast,
    NoTrainingData,
    PortBusy,
    UnknownName,
)
from agl_core.hookspecs import hookimpl
from agl_core.log import verify
from agl_core.plugins import Plugins
from agl_core.trainer import Trainer, build_component


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


@agl.rollout
async def agent(task) -> float:
    """Scores the task's own number."""
    return float(task["n"])


TASKS = [{"n": 0}, {"n": 1}]


@pytest.fixture
def log(tmp_path):
    """Where the run of a test is to write."""
    return str(tmp_path / "log.db")


def test_fit_runs_the_agent_over_its_tasks(log):
    """Without an algorithm nothing is learned, and the run says how well it went."""
    summary = Trainer(store=log).fit(agent, TASKS)

    assert summary.result["train"]["mean"] == 0.5
    with agl.open_log(log, readonly=True) as found:
        assert found.rows("select status, agent from runs") == [("finished", f"{__name__}:agent")]


@pytest.mark.parametrize(
    "spec",
    [
        Baseline(n_epochs=2),
        {"name": "baseline", "n_epochs": 2},
        {"type": "agl_core.algorithm:Baseline", "n_epochs": 2},
        lambda: Baseline(n_epochs=2),
    ],
    ids=["instance", "registry", "import path", "factory"],
)
def test_an_algorithm_is_found_however_it_is_named(log, spec):
    """Each of the forms of a component means the same."""
    Trainer(algorithm=spec, store=log).fit(agent, TASKS)

    with agl.open_log(log, readonly=True) as found:
        assert found.rows("select count(*) from rollouts") == [(4,)]


@pytest.mark.parametrize("spec", [Baseline, "baseline", "agl_core.algorithm.Baseline"])
def test_a_class_or_a_name_is_made_with_its_defaults(log, spec):
    """No dict is needed where there is nothing to set."""
    assert Trainer(algorithm=spec, store=log).algorithm.config.n_epochs == 1


def test_components_that_cannot_be_made_say_so():
    """A misspelt name is answered with its neighbour, a misspelt argument with those there are."""
    with pytest.raises(UnknownName, match="did you mean 'baseline'"):
        Trainer(algorithm="basline")
    with pytest.raises(UnknownName, match=r"Is its plugin installed \(agl-dreaming\?\)"):
        Trainer(algorithm="dreaming")
    with pytest.raises((BadValue, TypeError), match="n_epoch"):
        Trainer(algorithm={"name": "baseline", "n_epoch": 2})
    with pytest.raises(BadValue, match="registry name"):
        build_component({"n_epochs": 1}, kind="algorithm")


def test_no_tasks_no_training(log):
    """An empty data set is refused before anything is started, or written."""
    with pytest.raises(NoTrainingData):
        Trainer(store=log, algorithm="baseline").fit(agent, [])

    with pytest.raises(AglError):
        agl.open_log(log, readonly=True)


def test_tasks_must_survive_the_log(log):
    """What is no plain JSON would come back as something else."""
    with pytest.raises(BadValue, match="JSON"):
        Trainer(store=log).fit(agent, [{"n": {1, 2}}])
    with pytest.raises(BadValue, match="JSON"):
        Trainer(store=log).fit(agent, [{"n": float("nan")}])


def test_dev_runs_fast_algorithms_only(log):
    """The default is fast; another has to say that it is."""

    class Slow:
        name = "slow"

        async def run(self, run):
            raise AssertionError("it must not even begin")

    assert Trainer(store=log).dev(agent, TASKS).status == "finished"
    with pytest.raises(NotFast, match="Slow"):
        Trainer(store=log, algorithm=Slow()).dev(agent, TASKS)


def test_a_model_nobody_opens_is_told_with_the_plugin_it_needs(log):
    """The kind of the URL names the plugin."""
    with pytest.raises(EngineFailed, match="is agl-vllm installed"):
        Trainer(store=log, models={"policy": "vllm:/m"}).fit(agent, TASKS)


def test_a_busy_port_is_told_with_its_cure(log):
    """Nothing of the run is written."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(PortBusy, match="port 0"):
            Trainer(store=log, port=port).fit(agent, TASKS)

    with agl.open_log(log, readonly=True) as found:
        assert found.rows("select count(*) from events where type like 'run.%'") == [(0,)]


def test_runners_that_had_their_share_end_the_run(log):
    """`max_rollouts` is per runner; the algorithm must not wait for ever."""
    with pytest.raises(NoRunnersLeft):
        Trainer(store=log, max_rollouts=1).fit(agent, TASKS)

    with agl.open_log(log, readonly=True) as found:
        assert found.rows("select status, why from runs")[0][0] == "failed"


def test_an_algorithm_that_raises_leaves_a_run_that_says_why(log):
    """The error is raised to the caller, and recorded with its code."""

    class Raises:
        name = "raises"

        async def run(self, run):
            await run.rollouts(run.train)
            raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError):
        Trainer(store=log, algorithm=Raises()).fit(agent, TASKS)

    with agl.open_log(log, readonly=True) as found:
        assert found.rows("select status, why from runs") == [("failed", "ZeroDivisionError: oops")]
        assert not list(verify(found))


def test_a_legacy_algorithm_gets_what_it_names(log):
    """Agent Lightning's functions run, wrapped, and say that they cannot be resumed."""
    seen = {}

    @agl.algo
    async def old(*, store, train_dataset, initial_resources):
        rollout = await store.enqueue_rollout(train_dataset[0], mode="train")
        (done,) = await store.wait_for_rollouts(rollout_ids=[rollout.rollout_id], timeout=30)
        seen.update(status=done.status, resources=list(initial_resources or ()))

    prompt = agl.PromptTemplate("Hello", "f-string")
    Trainer(store=log, algorithm=old, initial_resources={"prompt": prompt}).fit(agent, TASKS)

    assert seen == {"status": "succeeded", "resources": ["prompt"]}
    with agl.open_log(log, readonly=True) as found:
        (started,) = found.read(types=["run.started"])
        assert started.event.resumable is False


def test_an_agent_in_a_local_scope_is_marked_as_not_to_be_found_again(log):
    """The run works; its log says why `agl resume` will not."""

    @agl.rollout
    async def local(task) -> float:
        return 1.0

    Trainer(store=log).fit(local, TASKS)

    with agl.open_log(log, readonly=True) as found:
        (started,) = found.read(types=["run.started"])
    assert not started.event.agent.importable
    assert started.event.agent.why


def test_plugins_hear_of_records_and_are_switched_off_after_three_failures(log):
    """A guest that raises is named in the log, and the run goes on."""
    heard = []

    class Guest:
        @hookimpl
        def agl_recorded(self, record):
            heard.append(record.event.type)
            raise RuntimeError("guest")

    plugins = Plugins.load()
    plugins.register(Guest(), name="guest")

    Trainer(store=log, plugins=plugins).fit(agent, TASKS)

    assert len(heard) == 3
    with agl.open_log(log, readonly=True) as found:
        assert found.rows("select count(*) from events where type = 'plugin.failed'") == [(3,)]


def test_fit_works_where_a_loop_is_running(log):
    """As in a notebook."""
    import asyncio

    async def cell():
        return Trainer(store=log).fit(agent, TASKS)

    assert asyncio.run(cell()).status == "finished"


def test_plugins_hear_of_rollouts_too(log):
    """The four runner hooks; what one returns to be awaited is awaited, and what it raises becomes a fact."""
    heard = []

    class Listens:
        @hookimpl
        def on_rollout_start(self, rollout):
            heard.append(("start", rollout.input["n"]))

        @hookimpl
        def on_trace_start(self, tracer):
            async def later():
                heard.append(("trace", type(tracer).__name__))

            return later()

        @hookimpl
        def on_trace_end(self):
            raise RuntimeError("guest")

        @hookimpl
        def on_rollout_end(self, spans):
            heard.append(("end", len(spans)))

    plugins = Plugins.load()
    plugins.register(Listens(), name="listens")

    Trainer(store=log, plugins=plugins).fit(agent, TASKS[:1])

    assert heard == [("start", 0), ("trace", "Recorder"), ("end", 1)]
    with agl.open_log(log, readonly=True) as found:
        assert found.rows("select count(*) from events where type = 'plugin.failed'") == [(1,)]
