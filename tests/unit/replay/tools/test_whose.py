"""Which recorded call of a tool a call is: by its arguments, what led to it and where it stands, never by its turn."""

import asyncio
import contextlib
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import pytest

import agl_core as agl
from agl_core.errors import (
    ReplayAmbiguous,
    ReplayDiffers,
    ReplayError,
    ReplayUnmatched,
)
from agl_core.recorder import current
from agl_core.replay._alike import Alike


def test_reordered_calls_of_one_tool_get_each_its_own_result(world, record, replayed):
    """Not the next one of that tool: mastra#17737, where a queue for each tool gave what another call had seen."""

    @agl.tool
    def weather(city):
        return f"{city}: {next(world)}"

    then = []
    tape = record(lambda: then.extend([weather("Rome"), weather("Oslo"), weather("Kyiv")]))
    now = []
    replayed(lambda: now.extend([weather("Kyiv"), weather("Rome"), weather("Oslo")]), tape)

    assert then == ["Rome: 1", "Oslo: 2", "Kyiv: 3"]
    assert now == ["Kyiv: 3", "Rome: 1", "Oslo: 2"]


def test_tools_beside_each_other_get_each_their_own_whatever_the_order(world, record, replayed):
    """In tasks and in threads, arriving in another order than then."""

    @agl.tool
    async def fetch(number):
        return [number, next(world)]

    @agl.tool
    def read(number):
        return [number, next(world)]

    def body(numbers, found):
        async def gathered():
            found.extend(await asyncio.gather(*map(fetch, numbers)))
            with ThreadPoolExecutor(4) as pool:
                found.extend(pool.map(lambda number: copy_context_of[number].run(read, number), numbers))

        copy_context_of = {}

        async def prepared():
            copy_context_of.update({number: copy_context() for number in numbers})
            await gathered()

        return prepared

    then, now = [], []
    tape = record(body(list(range(20)), then))
    replayed(body(list(reversed(range(20))), now), tape)

    assert sorted(now) == sorted(then)
    assert len(now) == 40


def test_the_same_call_again_and_again_gets_the_results_in_their_order(world, record, replayed):
    """A program that goes step by step asks in the order it asked in."""
    heard = []

    @agl.tool
    def poll():
        return next(world)

    def body():
        heard.append([poll() for _ in range(5)])

    replayed(body, record(body))

    assert heard == [[1, 2, 3, 4, 5]] * 2


def test_the_same_call_of_several_tasks_gets_the_result_of_its_own_task(world, record, replayed):
    """Fifty tasks beside each other ask the same, in another order than then: each has a place in the program."""

    @agl.tool
    async def roll():
        return next(world)

    def body(order, found):
        turns = {number: asyncio.Event() for number in order}

        async def one(number):
            await turns[number].wait()
            found[number] = await roll()

        async def agent():
            tasks = [asyncio.create_task(one(number)) for number in range(len(order))]
            for number in order:
                turns[number].set()
                await asyncio.sleep(0)
            await asyncio.gather(*tasks)

        return agent

    then, now = {}, {}
    tape = record(body(list(range(50)), then))
    replayed(body([(7 * number) % 50 for number in range(50)], now), tape)

    assert list(now) != list(then)
    assert now == then


def test_the_same_call_of_several_threads_is_ambiguous_unless_all_came_to_the_same(world, record, replayed):
    """Nobody can tell whose result is whose; where there is nothing to tell apart, it does not matter."""

    @agl.tool
    def roll(sides):
        return next(world) if sides else 0

    def body(sides):
        def both():
            for _ in range(2):
                thread = threading.Thread(target=copy_context().run, args=(_kept, roll, sides))
                thread.start()
                thread.join()

        return both

    replayed(body(0), record(body(0)))
    tape = record(body(6))

    with pytest.raises(ReplayAmbiguous) as raised:
        replayed(body(6), tape)
    assert set(raised.value.candidates) == {one.span_id for one in tape.calls}


def _kept(call, *args):
    """The call; a thread has nobody to raise an error of the replay to."""
    with contextlib.suppress(ReplayError):
        call(*args)


def _led(call_id):
    """What follows is led by that model call."""
    current().asks(call_id)


def test_the_same_call_after_another_model_call_gets_the_result_of_that(world, record, replayed):
    """The model call that led to it is its place in the story, whichever of the two comes first now."""

    @agl.tool
    def check():
        return next(world)

    def body(order, heard):
        def agent():
            for call_id in order:
                _led(call_id)
                heard[call_id.removeprefix("now-")] = check()

        return agent

    then, now = {}, {}
    tape = record(body(["ca-1", "ca-2"], then))
    replayed(body(["now-ca-2", "now-ca-1"], now), tape, origin=lambda call_id: call_id.removeprefix("now-"))

    assert now == then == {"ca-1": 1, "ca-2": 2}


def test_a_call_that_another_model_call_led_to_differs(record, replayed):
    """The same words at another point of the story are another call."""

    @agl.tool
    def check():
        return 1

    def body(call_id):
        def agent():
            _led(call_id)
            check()

        return agent

    tape = record(body("ca-1"))

    with pytest.raises(
        ReplayDiffers, match="the model call that led to it the log has 'ca-1', the agent now says 'ca-2'"
    ):
        replayed(body("ca-2"), tape, origin=lambda call_id: call_id)


def test_other_arguments_differ_and_the_first_difference_is_told(record, replayed):
    """The recorded result of something else is no answer."""

    @agl.tool
    def buy(item, count):
        return "bought"

    tape = record(lambda: buy("plums", 2))

    with pytest.raises(ReplayDiffers, match=r"at arguments\.count the log has 2, the agent now says 3") as raised:
        replayed(lambda: buy("plums", 3), tape)
    assert raised.value.recorded == tape.calls[0].span_id


def test_a_tool_that_was_never_called_is_unmatched(record, replayed):
    """And what was called is said."""

    @agl.tool
    def seen():
        return 1

    @agl.tool
    def unseen():
        raise AssertionError("it ran")

    with pytest.raises(ReplayUnmatched, match="only these were called then: seen"):
        replayed(unseen, record(seen))


def test_one_call_more_than_then_is_unmatched(record, replayed):
    """It is not given the last result once more."""

    @agl.tool
    def seen():
        return 1

    with pytest.raises(ReplayUnmatched, match="it was called once with these arguments then"):
        replayed(lambda: (seen(), seen()), record(seen))


def test_an_error_of_the_replay_is_heard_whatever_the_agent_makes_of_it(record, replayed):
    """Frameworks turn what a tool raises into text for the model: the replay is told all the same."""

    @agl.tool
    def seen(number):
        return number

    def body(number):
        def agent():
            try:
                seen(number)
            except Exception:  # noqa: BLE001 - as frameworks do
                return

        return agent

    with pytest.raises(ReplayDiffers):
        replayed(body(2), record(body(1)))


def test_ids_and_dates_in_arguments_may_have_other_names_now(record, replayed):
    """Those the program draws anew each time; with --strict every letter counts."""
    heard = []

    @agl.tool
    def keep(key, when, word):
        return len(heard)

    def body():
        key = str(uuid.uuid4())
        heard.append(keep(key, f"2026-11-2{len(heard)}T10:00:00Z", "a"))

    tape = record(body)
    replayed(body, tape)
    with pytest.raises(ReplayDiffers):
        replayed(body, tape, alike=Alike(strict=True))

    assert heard == [0, 0]
