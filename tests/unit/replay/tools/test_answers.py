"""What a tool came to then, it comes to again, whatever kind of function it is."""

import asyncio

import pytest

import agl_core as agl


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
