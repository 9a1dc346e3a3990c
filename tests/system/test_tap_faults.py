"""Agents who ask a provider directly while their store fails, or their process dies: their calls add up."""

from __future__ import annotations

import random
import signal
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ._conserving import PATIENT, Model, serving
from ._faults import full, held, moved
from ._tapped import Process, agents, told_by

pytestmark = pytest.mark.anyio

WIDTH = 8


@pytest.fixture
def anyio_backend() -> str:
    """The provider speaks asyncio, and so do its tests."""
    return "asyncio"


def befalls(fault: str, path: Path, pid: int) -> AbstractContextManager[object]:
    """The fault, for as long as it lasts."""
    match fault:
        case "full":
            return full(path, pid, room=0)
        case "moved":
            return moved(path)
        case _:
            return held(path)


async def rounds(process: Process, *each: int) -> None:
    """So many calls of each agent, then as many more."""
    count = len(process.answered)
    for many in each:
        process.say(str(many))
        count += WIDTH * many
        await process.until(count)


@pytest.mark.parametrize("fault", ["slow", "busy", "full", "moved"])
async def test_agents_are_answered_whatever_befalls_their_store_and_their_calls_add_up(tmp_path: Path, fault: str):
    """Every answer is right, each is in the log or said to be unknown, and an attempt that misses one is no success."""
    model, path = Model(), tmp_path / "log.db"
    patience = 200 if fault == "busy" else PATIENT
    async with serving(model) as upstream, agents(path, upstream, width=WIDTH, patience=patience) as process:
        await rounds(process, 3)
        with befalls(fault, path, process.pid):
            await rounds(process, 4, 4)
        await rounds(process, 3)
        process.say("0")
        await process.process.wait()

    told = told_by(path)
    missing = process.answered - told.ok
    print(f"{fault}: {len(process.answered)} answered, {told.statuses} and {told.lost} lost, {told.attempts}")
    assert not process.wrong
    assert len(process.answered) == model.asked == 14 * WIDTH
    assert told.statuses.total() == len(process.answered)
    assert (len(missing), told.lost) == (told.unknown, 0)
    assert set(told.statuses) <= {"ok", "unknown"}
    assert told.attempts.keys() <= {("completed", True), ("capture_lost", False)}
    assert bool(told.unknown) == (fault != "slow")


@pytest.mark.parametrize("fault", ["busy", "full", "moved"])
@pytest.mark.parametrize("end", ["orderly", "abrupt"])
async def test_an_attempt_that_ends_while_its_store_is_down_is_no_success(tmp_path: Path, fault: str, end: str):
    """Its process ends, and the log has not taken a word: whoever opens it next counts the calls it never heard of."""
    model, path = Model(), tmp_path / "log.db"
    async with serving(model) as upstream, agents(path, upstream, width=WIDTH, patience=200, end=end) as process:
        await rounds(process, 3)
        with befalls(fault, path, process.pid):
            await rounds(process, 4, 4)
            process.say("0")
            await process.process.wait()

    told = told_by(path)
    missing = process.answered - told.ok
    print(f"{fault}: {len(process.answered)} answered, {told.statuses} and {told.lost} lost, {process.ends}")
    assert not process.wrong
    assert len(process.answered) == model.asked == 11 * WIDTH
    assert len(missing) == told.unknown + told.lost
    assert told.statuses.total() + told.lost == len(process.answered)
    assert {status for status, _ in told.attempts} == {"worker_lost"}
    assert len(process.ends) == WIDTH
    assert set(process.ends) == {{"busy": "LOG_BUSY", "full": "LOG_FULL", "moved": "LOG_GONE"}[fault]}


@pytest.mark.parametrize("death", ["kill", "term", "exit", "fork"])
async def test_what_agents_were_told_is_kept_or_unknown_whatever_their_process_dies_of(tmp_path: Path, death: str):
    """A signal, `os._exit`, a fork that ends: no answer that an agent has seen is silent, and no call that left."""
    seed = 20261123
    model, path = Model(), tmp_path / "log.db"
    async with serving(model) as upstream, agents(path, upstream, width=WIDTH) as process:
        process.say("1000")
        await process.until(random.Random(f"{seed}{death}").randrange(20, 200))
        if death in ("exit", "fork"):
            process.say(death)
        if death != "exit":
            process.process.send_signal(signal.SIGTERM if death == "term" else signal.SIGKILL)
        await process.process.wait()

    told = told_by(path)
    missing = process.answered - told.ok
    print(f"seed {seed}: {death}: {len(process.answered)} answered, {told.statuses}, {model.asked} reached the model")
    assert process.answered
    assert not process.wrong
    assert len(missing) <= told.unknown + told.lost
    assert told.statuses.total() + told.lost >= model.asked
    assert {status for status, _ in told.attempts} == {"worker_lost"}


async def test_of_two_processes_on_a_log_one_dies_and_the_other_notices_nothing(tmp_path: Path):
    """What both of them were told adds up; who lives on has all of it kept."""
    model, path = Model(), tmp_path / "log.db"
    async with (
        serving(model) as upstream,
        agents(path, upstream, width=WIDTH) as dies,
        agents(path, upstream, width=WIDTH) as lives,
    ):
        await rounds(lives, 1)
        dies.say("1000")
        lives.say("12")
        await dies.until(5 * WIDTH)
        dies.process.kill()
        await lives.until(13 * WIDTH)
        lives.say("0")
        await lives.process.wait()
        await dies.process.wait()

    told = told_by(path)
    missing = dies.answered - told.ok
    print(f"one of two: {len(dies.answered)} and {len(lives.answered)} answered, {told.statuses} and {told.lost} lost")
    assert lives.answered <= told.ok
    assert (len(lives.answered), lives.ends) == (13 * WIDTH, ["completed"] * WIDTH)
    assert len(missing) <= told.unknown
    assert told.statuses.total() + told.lost >= model.asked


async def test_calls_of_a_forked_child_are_its_parents_to_keep(tmp_path: Path):
    """An agent forks, and the child asks: every answer is right, and each is in the log."""
    model, path = Model(), tmp_path / "log.db"
    async with serving(model) as upstream, agents(path, upstream, width=WIDTH, kind="forking") as process:
        await rounds(process, 3, 4)
        process.say("0")
        await process.process.wait()

    told = told_by(path)
    print(f"forked: {len(process.answered)} answered, {told.statuses} and {told.lost} lost, {told.attempts}")
    assert not process.wrong
    assert len(process.answered) == model.asked == 7 * WIDTH
    assert told.ok == process.answered
    assert told.attempts == {("completed", True): WIDTH}
