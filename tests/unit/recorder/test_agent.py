"""The name of the agent at work, in every kind of block and function."""

from __future__ import annotations

import asyncio

import pytest

import agl_core as agl
from agl_core.errors import BadValue, OutsideAttempt
from agl_core.recorder import Scope, attributed, current


@pytest.fixture(autouse=True)
def scope():
    """An attempt under way, that nothing is written of."""
    scope = Scope(recorder=None, run_id=None, rollout_id="ro-1", attempt_id="at-1")  # type: ignore[arg-type]
    with attributed(scope):
        yield scope


def name() -> str | None:
    """Of the agent whose code runs here."""
    return current().agent


def test_the_innermost_name_holds():
    """And the one around it again afterwards."""
    with agl.agent("planner"):
        before = name()
        with agl.agent("writer"):
            within = name()
        after = name()

    assert (before, within, after, name()) == ("planner", "writer", "planner", None)


def test_a_function_is_the_agent_s_from_begin_to_end():
    """Sync, async, and those that yield; the one who calls keeps the name he had."""

    @agl.agent("writer")
    def plain() -> list[str | None]:
        return [name()]

    @agl.agent("writer")
    async def awaited() -> list[str | None]:
        before = name()
        await asyncio.sleep(0)
        return [before, name()]

    async def story() -> list[list[str | None]]:
        with agl.agent("planner"):
            return [plain(), await awaited(), [name()]]

    assert asyncio.run(story()) == [["writer"], ["writer", "writer"], ["planner"]]
    assert (plain.__name__, asyncio.iscoroutinefunction(awaited)) == ("plain", True)


def test_a_generator_has_its_name_and_its_consumer_keeps_his():
    """What is sent in, thrown in and returned goes through."""

    @agl.agent("writer")
    def words():
        try:
            sent = yield name()
            yield (name(), sent)
        except KeyError:
            yield "caught"
        return name()

    def told():
        last = yield from words()
        yield ("returned", last)

    steps = told()

    assert (next(steps), name()) == ("writer", None)
    assert (steps.send(7), name()) == (("writer", 7), None)
    assert (steps.throw(KeyError()), name()) == ("caught", None)
    assert (next(steps), name()) == (("returned", "writer"), None)


def test_an_async_generator_has_its_name_and_its_consumer_keeps_his():
    """Also when it is left half-way: it cleans up under its own name."""
    seen = []

    @agl.agent("writer")
    async def words():
        try:
            sent = yield name()
            yield (name(), sent)
        finally:
            seen.append(("closed by", name()))

    async def story():
        items = words()
        seen.append((await items.__anext__(), name()))
        seen.append((await items.asend(7), name()))
        await items.aclose()
        seen.append(name())

    asyncio.run(story())

    assert seen == [("writer", None), (("writer", 7), None), ("closed by", "writer"), None]


def test_an_async_generator_that_is_thrown_at_answers_itself():
    """And what it does not catch comes out."""

    @agl.agent("writer")
    async def words():
        try:
            yield 1
        except KeyError:
            yield name()

    async def story():
        items = words()
        await items.__anext__()
        answer = await items.athrow(KeyError())
        with pytest.raises(ValueError, match="out"):
            await items.athrow(ValueError("out"))
        return answer

    assert asyncio.run(story()) == "writer"


def test_agents_side_by_side_keep_their_names():
    """Tasks of one `gather`, and threads that carry the context."""

    @agl.agent("reader")
    def read(gate: asyncio.Event) -> str | None:
        return name()

    async def work(who: str, gate: asyncio.Event) -> str | None:
        with agl.agent(who):
            if who == "b":
                gate.set()
            await gate.wait()
            return name()

    async def story():
        gate = asyncio.Event()
        with agl.agent("outer"):
            names = await asyncio.gather(work("a", gate), work("b", gate), asyncio.to_thread(read, gate))
            return [*names, name()]

    assert asyncio.run(story()) == ["a", "b", "reader", "outer"]


def test_a_block_that_ends_in_another_context_takes_nothing_back():
    """As an async generator's does that the garbage collector closes."""
    block = agl.agent("writer")

    async def begins():
        block.__enter__()

    async def story():
        await asyncio.create_task(begins())
        block.__exit__(None, None, None)
        return name()

    assert asyncio.run(story()) is None


def test_an_agent_works_for_the_call_that_the_one_around_it_made_last(scope):
    """One after the other, each knows it; an agent that made none leads to none."""
    found = []

    def works() -> None:
        found.append(current().parent_call)

    with agl.agent("orchestrator"), agl.agent("planner"):
        works()
        current().asks("ca-1")
        for helper in ("first", "second"):
            with agl.agent(helper):
                works()
                current().asks(f"ca-{helper}")
        current().asks("ca-2")
        with agl.agent("third"):
            works()

    assert found == [None, "ca-1", "ca-1", "ca-2"]


def test_a_generator_may_be_left_in_the_middle_of_a_block():
    """It goes on in the block; its consumer is not in it."""

    @agl.agent("writer")
    def words():
        with agl.agent("helper"):
            yield name()
            yield name()
        yield name()

    seen = [(item, name()) for item in words()]

    assert seen == [("helper", None), ("helper", None), ("writer", None)]


def test_where_several_calls_may_have_led_to_an_agent_none_is_named():
    """Two tasks of one agent asked at once: which of the two it was is not guessed, but may be said."""

    async def ask(call_id: str) -> None:
        current().asks(call_id)

    async def story():
        await asyncio.gather(ask("ca-1"), ask("ca-2"))
        with agl.agent("guessing"):
            guessed = current().parent_call
        with agl.agent("told", parent_call="ca-1"):
            return guessed, current().parent_call

    assert asyncio.run(story()) == (None, "ca-1")


def test_a_generator_goes_on_from_the_call_it_made():
    """Between two items it is not forgotten, and the consumer's own calls are not taken for it."""

    @agl.agent("writer")
    def words():
        current().asks("ca-1")
        yield
        with agl.agent("helper"):
            yield current().parent_call

    steps = words()
    next(steps)
    current().asks("ca-of-consumer")

    assert next(steps) == "ca-1"
    assert current().last_call() == "ca-of-consumer"


@pytest.mark.parametrize("name", ["", None, 7])
def test_a_name_is_a_word(name):
    """Nothing else could be selected."""
    with pytest.raises(BadValue, match="the name of an agent is a word"):
        agl.agent(name)


def test_one_block_is_entered_once_at_a_time():
    """Else it would lead back to the wrong place."""
    block = agl.agent("writer")

    with block, pytest.raises(RuntimeError, match="entered already"):
        block.__enter__()

    assert name() is None


def test_outside_an_attempt_there_is_no_agent(scope):
    """A decorated function may be defined there, and cannot run there."""

    @agl.agent("writer")
    def plain():
        return 1

    async def elsewhere():
        plain()

    import contextvars

    with pytest.raises(OutsideAttempt):
        contextvars.Context().run(asyncio.run, elsewhere())
