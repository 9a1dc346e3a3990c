"""Every call that was answered is in the log, and every one that left is there or said to be unknown: whatever dies."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import agl_core as agl

from ._conserving import Agents, Model, everything, gateway, kept, many_files, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The gateway speaks asyncio, and so do its tests."""
    return "asyncio"


@pytest.fixture(autouse=True)
def files() -> Iterator[None]:
    """As many as there may be."""
    with many_files():
        yield


@pytest.mark.parametrize("death", ["kill", "term", "exit", "fork"])
async def test_what_was_answered_is_kept_whatever_the_gateway_dies_of(tmp_path: Path, death: str):
    """A signal, `os._exit`, a fork that ends: no answered call is missing, none that left is silent."""
    seed, count = 20261122, 400
    model, path = Model(), tmp_path / "log.db"
    async with serving(model) as upstream:
        with gateway(path, upstream, rollouts=8) as (process, places):
            agents = Agents(places)
            asking = asyncio.create_task(everything(agents, count))
            await agents.until(random.Random(f"{seed}{death}").randrange(20, count // 2))
            assert process.stdin is not None
            if death in ("exit", "fork"):
                process.stdin.write(death + "\n")
                process.stdin.flush()
            if death != "exit":
                process.send_signal(signal.SIGTERM if death == "term" else signal.SIGKILL)
            await asyncio.to_thread(process.wait)
            await asking

    found = kept(path)
    print(f"seed {seed}: {death}: {len(agents.answered)} answered, {len(found)} kept, {model.asked} reached the model")
    assert agents.answered
    assert {found.get(call_id) for call_id in agents.answered} == {"ok"}
    assert len(found) >= model.asked
    assert set(found.values()) <= {"ok", "unknown", "broken"}


@pytest.mark.parametrize(
    "count", [500, pytest.param(10_000, marks=pytest.mark.slow)], ids=["five hundred", "ten thousand"]
)
async def test_many_calls_at_once_are_all_kept(tmp_path: Path, count: int):
    """Some of them break off: each is answered or failed, and each is one fact."""
    model, path = Model(breaks=0.1), tmp_path / "log.db"
    async with serving(model) as upstream:
        with gateway(path, upstream, rollouts=50) as (_, places):
            agents = Agents(places)
            await everything(agents, count)

    found = kept(path)
    print(f"{count} at once: {len(agents.answered)} answered, {agents.failed} failed, {len(found)} kept")
    statuses = sorted(found.values())
    assert len(agents.answered) + agents.failed == count == len(found)
    assert {found[call_id] for call_id in agents.answered} == {"ok"}
    assert statuses.count("ok") == len(agents.answered)
    assert statuses.count("broken") == agents.failed > 0


def test_a_forked_process_does_not_touch_the_log(tmp_path: Path):
    """It may end as it likes; the parent's connection is the parent's."""
    log = agl.open_log(str(tmp_path / "log.db"))
    before = log.head()

    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

    from agl_core.events import NoteTaken
    from agl_core.record import Draft

    log.append([Draft(stream="log", event=NoteTaken(text="still here"))])
    assert log.head() == before + 1
    log.close()
