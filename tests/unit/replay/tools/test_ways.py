"""Tools that run again, or never do; and what cannot be told, changed or seen."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

import agl_core as agl
from agl_core.errors import (
    BadValue,
    NotReplayable,
    ReplayDiffers,
    ReplayUnmatched,
)
from agl_core.events import CallRecorded, ModelCall, SpanRecorded
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder, Scope, ToolAsked, attributed
from agl_core.replay._tools import RecordedTools, tool_ways
from agl_core.runner import Runner
from agl_core.store import Store

from ._agents import agent_of, tape_of


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
            with Runner().run_context(agent=agent_of(body), store=store) as runner:
                return await runner.step({"n": 1})

        tape = tape_of(store, asyncio.run(story()))
        store.close()
    replayed(body, tape, redact=redact)

    assert heard[1] == {"token": "[REDACTED:key:1f]-token", "for": "[REDACTED:key:1f]-key"}


def _clean(value):
    return value.replace("s3cret", "[REDACTED:key:1f]") if isinstance(value, str) else value
