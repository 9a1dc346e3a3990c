"""New weights while rollouts are open: calls under way end on the old ones, or the run stops and says so."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import httpx
import pytest

import agl_core as agl
from agl_core.engine import Checkpoint, Endpoint
from agl_core.errors import DrainTimedOut
from agl_core.events import CallRecorded, GatewayPaused, RunFailed
from agl_core.hookspecs import hookimpl
from agl_core.plugins import Plugins
from agl_core.testing import ScriptedEngine
from agl_core.trainer import Trainer
from agl_core.trainer._serving import Models


class Engine(ScriptedEngine):
    """Answers when it may; its first weights lie in a folder, and those that are bad it does not load."""

    def __init__(self, folder: Path, may_answer: threading.Event) -> None:
        super().__init__(lambda _asked: str(may_answer.wait(20)))
        self.folder = folder

    async def start(self) -> Endpoint:
        """Listen, and say where the weights are."""
        endpoint = await super().start()
        # Its own word on its version is left out: the gateway's is what is looked at.
        self.model.version = None
        return Endpoint(url=endpoint.url, model=endpoint.model, max_len=endpoint.max_len, folder=self.folder)

    async def load(self, checkpoint: Checkpoint, *, version: int) -> None:
        """Remember what was asked for."""
        if (checkpoint.folder / "weights").read_text() == "bad":
            raise RuntimeError("cannot read these")
        self.loaded.append((checkpoint, version))


class World:
    """A log, and a model that answers when the test lets it."""

    def __init__(self, folder: Path) -> None:
        self.log, self.model = str(folder / "log.db"), folder / "model"
        self.model.mkdir()
        (self.model / "weights").write_text("0")
        self.may_answer = threading.Event()

    def fit(self, algorithm, *, resume=None):
        """One life of a run of one task; its agent asks twice."""
        plugins = Plugins.load()

        class Opens:
            @hookimpl
            def agl_open_engine(_self, url):  # noqa: N805 - `self` is the world here
                if url != "scripted:":
                    return None
                self.engine = Engine(self.model, self.may_answer)
                return self.engine

        @agl.rollout
        async def asks(task, policy) -> float:
            async with httpx.AsyncClient(timeout=30) as client:
                for _ in range(2):
                    body = {"model": policy.model, "messages": [{"role": "user", "content": "now?"}]}
                    headers = {"authorization": f"Bearer {policy.api_key}"}
                    (await client.post(f"{policy.endpoint}/chat/completions", json=body, headers=headers))
            return 1.0

        plugins.register(Opens(), name="scripted")
        trainer = Trainer(
            algorithm=agl.algo(algorithm), models={"policy": "scripted:"}, store=self.log, plugins=plugins,
            preflight=False,
        )  # fmt: skip
        return trainer.fit(asks, [{"n": 0}], resume=resume, **({} if resume else {"run_id": "run-1"}))

    def facts(self, kind):
        """Events of that kind."""
        with agl.open_log(self.log, readonly=True) as log:
            return [record.event for record in log.read(types=[kind.type])]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A fresh one, with no plugin but ours."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    world = World(tmp_path)
    yield world
    world.may_answer.set()


def weights(_checkpoint: Checkpoint, out: Path, text: str) -> None:
    """Weights are a word."""
    (out / "weights").write_text(text)


async def heard(run: agl.Run, kind) -> None:
    """Waits until the log has an event of that kind."""
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    stop = run.store.log.subscribe(lambda _records: loop.call_soon_threadsafe(there.set), types=[kind.type])
    await there.wait()
    stop()


def test_calls_that_do_not_end_stop_the_load_and_go_on_with_the_old_weights(world, monkeypatch):
    """V19: the drain has a time limit; the run says which bound is missing, and goes on when it is resumed."""
    monkeypatch.setattr(Models, "drain_seconds", 0.05)

    async def swaps(run: agl.Run) -> None:
        flight = run.flight()
        made = await run.update("update", weights, run.policy(), "1")
        await flight.launch(run.train)
        if not world.may_answer.is_set():
            await asyncio.to_thread(world.engine.model.wait_for_requests, 1)
        try:
            await run.serve(made.checkpoint)
        except DrainTimedOut:
            world.may_answer.set()
            await run.store.wait(
                [rollout_id for (rollout_id,) in run.store.log.rows("select rollout_id from rollouts")]
            )
            raise
        await flight.landed(1)

    with pytest.raises(DrainTimedOut, match=r"1 call.*max_tokens"):
        world.fit(swaps)
    versions = [call.policy_version for call in world.facts(CallRecorded)]
    failed = [event.code for event in world.facts(RunFailed)]
    ended = world.fit(swaps, resume="run-1")

    assert versions == [0, 0]
    assert failed == ["DRAIN_TIMED_OUT"]
    assert ended.status == "finished"


def test_a_call_ends_on_the_weights_it_began_on_and_the_next_one_has_the_new(world):
    """The load waits for it, and the agent notices nothing."""

    async def swaps(run: agl.Run) -> None:
        flight = run.flight()
        made = await run.update("update", weights, run.policy(), "1")
        await flight.launch(run.train)
        await asyncio.to_thread(world.engine.model.wait_for_requests, 1)
        paused = asyncio.ensure_future(heard(run, GatewayPaused))
        serving = asyncio.ensure_future(run.serve(made.checkpoint))
        await paused
        world.may_answer.set()
        await serving
        await flight.landed(1)

    world.fit(swaps)

    assert [call.policy_version for call in world.facts(CallRecorded)] == [0, 1]


def test_weights_that_cannot_be_loaded_are_no_version(world):
    """Whoever asks later is answered by the old ones, and the log says so."""
    world.may_answer.set()

    async def swaps(run: agl.Run) -> None:
        flight = run.flight()
        made = await run.update("update", weights, run.policy(), "bad")
        with pytest.raises(RuntimeError, match="cannot read"):
            await run._weights._serving.load("policy", made.checkpoint, version=1)
        await flight.launch(run.train)
        await flight.landed(1)

    world.fit(swaps)

    assert {call.policy_version for call in world.facts(CallRecorded)} == {0}
