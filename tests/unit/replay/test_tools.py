"""Tools in a replay: what came of each comes of it again, to whom it came, or the replay stops and says why."""

import asyncio
import contextlib
import itertools
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace

import pytest

import agl_core as agl
from agl_core.errors import (
    BadValue,
    NotReplayable,
    ReplayAmbiguous,
    ReplayDiffers,
    ReplayError,
    ReplayUnmatched,
)
from agl_core.events import CallRecorded, ModelCall, SpanRecorded
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder, Scope, ToolAsked, attributed, current
from agl_core.replay._alike import Alike
from agl_core.replay._tool_tape import ToolTape
from agl_core.replay._tools import RecordedTools, tool_ways
from agl_core.runner import Runner
from agl_core.store import Store


@pytest.fixture
def world():
    """How often the world outside was touched; it says something else every time."""
    return itertools.count(1)


@pytest.fixture
def record(step, store):
    """Runs `body` as an agent; the tape of its tools."""

    def record(body):
        return _tape(store, step(_agent(body)))

    return record


def _tape(store, rollout):
    attempt = asyncio.run(store.get_latest_attempt(rollout.rollout_id))
    return ToolTape.of(store.log, rollout.rollout_id, attempt.attempt_id)


def _agent(body):
    @agl.rollout
    async def agent(task):
        done = body()
        if asyncio.iscoroutine(done):
            await done

    return agent


@pytest.fixture
def replayed():
    """Runs `body` as the agent of a replay, whose log is another one; its spans, once it has come to its end."""

    def replayed(body, tape, **options):
        async def story(store, tools):
            with Runner(replaying=tools).run_context(agent=_agent(body), store=store) as runner:
                rollout = await runner.step({"n": 1})
            return [one for one in await store.query_spans(rollout.rollout_id) if one.name.startswith("execute_tool")]

        with SqliteLog(":memory:", projections=CORE) as log:
            store = Store(log)
            try:
                return asyncio.run(story(store, RecordedTools(tape, **options)))
            finally:
                store.close()

    return replayed


def test_a_recorded_tool_does_not_run_and_gives_what_it_gave(world, record, replayed):
    """The world is not touched, and the span of the replay says of which recorded one it is."""
    heard = []

    @agl.tool
    def look(what):
        return {"what": what, "seen": next(world)}

    def body():
        heard.append(look("sky"))

    tape = record(body)
    (span,) = replayed(body, tape)

    assert heard == [{"what": "sky", "seen": 1}] * 2
    assert next(world) == 2
    assert span.attributes["agl.replay_of"] == tape.calls[0].span_id


def test_every_kind_of_function_gives_again_what_it_gave(world, record, replayed):
    """One that is awaited, one that yields, one that does both, and a method."""
    heard = []

    @agl.tool
    async def awaited():
        return next(world)

    @agl.tool
    def yielding():
        yield next(world)
        yield next(world)

    @agl.tool
    async def flowing():
        yield next(world)

    class Shelf:
        @agl.tool
        async def take(self):
            return next(world)

    async def body():
        heard.append([await awaited(), [*yielding()], [item async for item in flowing()], await Shelf().take()])

    tape = record(body)
    replayed(body, tape)

    assert heard == [[1, [2, 3], [4], 5]] * 2


class OutOfStockError(Exception):
    """As tools have them."""

    def __init__(self, item, *, left):
        super().__init__(f"no {item}, only {left}")


class Wordy(Exception):
    """It says more than it was given."""

    def __str__(self):
        return "there is " + self.args[0]


class OfInstances:
    """Somewhere to keep a type."""

    class NestedError(ValueError):
        """Deeper than its module."""


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        KeyError("name"),
        OutOfStockError("plums", left=0),
        Wordy("something"),
        OfInstances.NestedError("deep"),
        FileNotFoundError(2, "No such file", "a.txt"),
        UnicodeDecodeError("utf-8", b"a", 0, 1, "odd"),
        ExceptionGroup("some", [ValueError("one")]),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_tool_raised_it_raises_again(error, record, replayed):
    """An error of the same name and the same words, which the same `except` catches wherever the type can be had."""
    caught = []

    @agl.tool
    def fail():
        if caught:
            raise AssertionError("it ran")
        raise error

    def body():
        try:
            fail()
        except Exception as raised:  # noqa: BLE001 - whatever it is
            caught.append(raised)

    tape = record(body)
    replayed(body, tape)

    then, now = caught
    assert (type(now).__name__, str(now)) == (type(then).__name__, str(then))
    assert isinstance(now, type(then)) or type(now).__bases__ == (Exception,)


def test_an_error_whose_type_is_gone_has_its_name_and_words(record, replayed):
    """A type of a function's own cannot be found again."""
    caught = []

    class LocalError(Exception):
        pass

    @agl.tool
    def fail():
        raise LocalError("why")

    def body():
        try:
            fail()
        except Exception as raised:  # noqa: BLE001 - whatever it is
            caught.append((type(raised).__name__, str(raised)))

    replayed(body, record(body))

    assert caught == [("LocalError", "why")] * 2


def test_a_tool_that_was_cancelled_waits_to_be_cancelled_again(record, replayed):
    """The one who did it has a clock of its own, and does it again."""
    heard = []

    @agl.tool
    async def slow():
        await asyncio.sleep(0 if heard else 60)
        return "done"

    async def body():
        try:
            heard.append(await asyncio.wait_for(slow(), 0.01))
        except TimeoutError:
            heard.append("too slow")

    replayed(body, record(body))

    assert heard == ["too slow"] * 2


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


def test_a_pure_tool_runs_again_and_is_compared(record, replayed):
    """It may do so, because it depends on nothing else; where it does, the replay stops."""
    ran = []

    @agl.tool(replay="pure")
    def double(number):
        ran.append(number)
        return number * factor[-1]

    factor = [2]
    tape = record(lambda: double(4))
    replayed(lambda: double(4), tape)
    factor.append(3)

    with pytest.raises(ReplayDiffers, match="at result the log has 8, the agent now says 12"):
        replayed(lambda: double(4), tape)
    assert ran == [4, 4, 4]


def test_a_pure_tool_that_raises_something_else_now_differs(record, replayed):
    """The same error is the same outcome."""
    errors = [ValueError("one"), ValueError("one"), ValueError("two")]

    @agl.tool(replay="pure")
    def fail():
        raise errors.pop(0)

    def body():
        with contextlib.suppress(ValueError):
            fail()

    tape = record(body)
    replayed(body, tape)

    with pytest.raises(ReplayDiffers, match=r"exception\.message the log has 'one', the agent now says 'two'"):
        replayed(body, tape)


def test_a_pure_generator_is_compared_by_what_it_yields(record, replayed):
    """When it has come to its end."""
    top = [3]

    @agl.tool(replay="pure")
    def count():
        yield from range(top[-1])

    tape = record(lambda: [*count()])
    replayed(lambda: [*count()], tape)
    top.append(4)

    with pytest.raises(ReplayDiffers, match=r"result\[3\]"):
        replayed(lambda: [*count()], tape)


def test_a_live_tool_runs_and_nothing_is_compared(world, record, replayed):
    """It is asked nothing of the log."""
    heard = []

    @agl.tool(replay="live")
    def now(_word):
        return next(world)

    tape = record(lambda: heard.append(now("then")))
    replayed(lambda: heard.append(now("again")), tape)

    assert heard == [1, 2]
    assert not RecordedTools(tape).left()


def test_a_way_that_is_named_overrules_what_the_tool_says(world, record, replayed):
    """As `--tool look=live` does."""
    heard = []

    @agl.tool
    def look():
        return next(world)

    def body():
        heard.append(look())

    replayed(body, record(body), ways=tool_ways(["look=live"]))

    assert heard == [1, 2]


@pytest.mark.parametrize("said", ["look", "look=", "=live", "look=cached"])
def test_what_says_no_way_is_refused(said):
    """Before anything runs."""
    with pytest.raises(BadValue, match="NAME=HOW"):
        tool_ways([said])


def test_what_could_not_be_kept_cannot_come_again(record, replayed):
    """The cure is in the error: the tool may run, or give JSON."""

    @agl.tool
    def pair():
        return (1, 2)

    with pytest.raises(NotReplayable, match="live"):
        replayed(pair, record(pair))


def test_what_could_not_be_kept_may_be_made_again(record, replayed):
    """A `pure` tool's result is compared as far as it was told, wherever the object lies now."""

    class Thing:
        pass

    @agl.tool(replay="pure")
    def thing():
        return Thing()

    replayed(thing, record(thing))


def test_a_generator_that_was_left_can_be_left_again(record, replayed):
    """What it would have yielded after that, nobody knows."""

    @agl.tool
    def pages():
        yield from range(5)

    def body(count):
        def agent():
            items = pages()
            heard.append([next(items) for _ in range(count)])
            items.close()

        return agent

    heard = []
    tape = record(body(2))
    replayed(body(2), tape)

    with pytest.raises(ReplayUnmatched, match="left after 2 items"):
        replayed(body(3), tape)
    assert heard == [[0, 1], [0, 1]]


def test_a_result_that_was_given_may_be_changed_by_who_got_it(record, replayed):
    """It is the agent's own, each time."""
    heard = []

    @agl.tool
    def page():
        return {"lines": []}

    def body():
        found = page()
        heard.append(list(found["lines"]))
        found["lines"].append("mine")

    tape = record(lambda: (body(), body()))
    replayed(lambda: (body(), body()), tape)

    assert heard == [[]] * 4


def test_what_was_done_in_a_tool_that_does_not_run_is_not_missed(record, replayed):
    """A tool within a recorded tool is not asked for, and not given to others."""

    @agl.tool
    def inner():
        return 1

    @agl.tool
    def outer():
        return inner()

    tape = record(outer)
    tools = RecordedTools(tape)
    scope = Scope(recorder=_nowhere(), run_id=None, rollout_id="ro", attempt_id="at", replaying=tools)
    with attributed(scope):
        outer()

        with pytest.raises(ReplayUnmatched):
            inner()
    assert not tools.left()
    assert tools.answered == 1


def test_a_model_call_that_was_made_in_a_tool_that_does_not_run_is_not_missed(record):
    """It was made while the tool was at work, in its branch of the program or in one below it; others are asked for."""

    @agl.tool
    async def ask_another():
        await asyncio.sleep(0)

    tape = record(ask_another)
    (one,) = tape.calls
    tools = RecordedTools(tape)
    inside = CallRecorded(
        call_id="ca-1", rollout_id="ro", attempt_id="at", call=ModelCall(model="m"), place=f"{one.place}:0",
        started_at=one.span.started_at, latency=0.0,
    )  # fmt: skip

    before = tools.covers(inside)
    tools.tool(ToolAsked(name="ask_another", way="recorded", said=one.said, place=one.place))

    assert not before
    assert tools.covers(inside)
    assert tools.covers(replace(inside, place=None))
    assert not tools.covers(replace(inside, latency=60.0))
    assert not tools.covers(replace(inside, started_at=one.span.started_at - 60 * 10**9))


def test_a_tool_that_is_awaited_lets_others_have_their_turn(record, replayed):
    """A program that polls until another task is done comes to its end as it did."""
    heard = []

    @agl.tool
    async def poll():
        await asyncio.sleep(0)
        return "wait"

    async def body():
        other, times = asyncio.create_task(asyncio.sleep(0)), 0
        while not other.done():
            await poll()
            times += 1
        heard.append(times)

    replayed(body, record(body))

    assert heard[0] == heard[1]


def _nowhere():
    """A recorder whose log is closed with the test's process."""
    return Recorder(SqliteLog(":memory:", projections=CORE))


def test_what_a_log_redacted_is_matched_and_comes_as_it_was_kept(replayed):
    """The arguments of now are redacted as those of then were; the result is the redacted text."""

    def redact(draft):
        if not isinstance(draft.event, SpanRecorded):
            return draft
        clean = {name: _clean(value) for name, value in draft.event.attributes.items()}
        return replace(draft, event=replace(draft.event, attributes=clean))

    heard = []

    @agl.tool
    def login(key):
        return {"token": "s3cret-token", "for": key}

    def body():
        heard.append(login("s3cret-key"))

    with SqliteLog(":memory:", projections=CORE, redact=redact) as log:
        store = Store(log)

        async def story():
            with Runner().run_context(agent=_agent(body), store=store) as runner:
                return await runner.step({"n": 1})

        tape = _tape(store, asyncio.run(story()))
        store.close()
    replayed(body, tape, redact=redact)

    assert heard[1] == {"token": "[REDACTED:key:1f]-token", "for": "[REDACTED:key:1f]-key"}


def _clean(value):
    return value.replace("s3cret", "[REDACTED:key:1f]") if isinstance(value, str) else value
