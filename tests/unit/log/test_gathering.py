"""Coroutines that write: together, in their own thread while they may, and never half."""

import asyncio
import threading

import pytest

from agl_core.errors import BadPayload, LogError
from agl_core.events import NoteTaken
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    """The loop whose turns are gathered."""
    return "asyncio"


@pytest.fixture
def log():
    """Empty."""
    with SqliteLog(":memory:", projections=CORE) as log:
        yield log


def note(text):
    """The smallest fact."""
    return Draft(stream="log", event=NoteTaken(text=text))


async def test_what_is_written_in_one_turn_is_one_transaction(log):
    """Each gets its own records, and there is one seal."""
    landed = await asyncio.gather(*(log.soon([note(str(number))]) for number in range(10)))

    assert [records[0].event.text for records in landed] == [str(number) for number in range(10)]
    assert log.rows("select position from seals") == [(10,)]


async def test_one_that_fails_harms_no_other(log):
    """Whose work it is hears of it."""
    good, bad, also = log.soon([note("a")]), log.soon(lambda _view: [note("\ud800")]), log.soon([note("b")])

    assert [(await one)[0].event.text for one in (good, also)] == ["a", "b"]
    with pytest.raises(BadPayload):
        await bad


async def test_what_is_cancelled_is_written_all_the_same(log):
    """And somebody hears of it."""
    heard = []
    waiter = log.soon([note("a")], unheard=heard.append)
    waiter.cancel()

    await log.soon([note("b")])

    assert [record.event.text for record in log.read()] == ["a", "b"]
    assert [records[0].event.text for records in heard] == ["a"]


async def test_a_loop_does_not_wait_for_a_decision_of_another_thread(log):
    """Its work is queued behind it; meanwhile the loop goes on."""
    inside, go_on = threading.Event(), threading.Event()

    def slow(_view):
        inside.set()
        assert go_on.wait(30)
        return [note("slow")]

    decided = log.submit(slow)
    assert await asyncio.to_thread(inside.wait, 30)
    waiter = log.soon([note("quick")])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiter.done()
    go_on.set()

    assert (await waiter)[0].position == 2
    assert decided.result()[0].position == 1


async def test_a_closed_log_says_so(log):
    """To whoever awaits."""
    log.close()

    with pytest.raises(LogError, match="closed"):
        await log.soon([note("late")])


def test_a_decision_that_writes_is_told_instead_of_waiting_for_itself(log):
    """It holds the transaction that its own writing would need."""
    with pytest.raises(LogError, match="return the drafts"):
        log.transact(lambda _view: log.append([note("inner")]))

    assert log.head() == 0
