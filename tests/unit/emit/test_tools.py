"""Tools: what they were given and what came of it, told as OpenTelemetry names it, under any framework's decorator."""

import asyncio
import functools
import inspect
import json
import logging
import typing
from dataclasses import dataclass
from uuid import UUID

import pytest

import agl_core as agl
from agl_core.errors import BadValue
from agl_core.spans import meaning


@agl.tool
def search(query: str, k: int = 3) -> list[str]:
    """Look for it."""
    return [query] * k


@agl.tool(name="look_up", replay="pure")
async def found(query: str) -> str:
    """Look it up."""
    return f"about {query}"


@agl.tool
def pages(count: int) -> typing.Iterator[dict]:
    """Page by page."""
    for number in range(count):
        yield {"page": number}


@agl.tool
async def lines(count: int) -> typing.AsyncIterator[str]:
    """Line by line."""
    for number in range(count):
        yield f"line {number}"


def run(step, spans, body):
    """The tools of an agent that does `body`, in the order they ended, and what each means."""

    @agl.rollout
    async def agent(task):
        done = body()
        if asyncio.iscoroutine(done):
            await done

    found = [span for span in spans(step(agent)) if span.attributes.get("agl.span.kind") == "tool"]
    return found, [meaning(span.recorded()) for span in found]


def test_a_call_tells_its_tool_its_arguments_and_its_result(step, spans):
    """By OpenTelemetry's names, so that every reader of such spans sees a tool; defaults are arguments too."""
    (span,), (told,) = run(step, spans, lambda: search("plums"))

    assert span.name == "execute_tool search"
    assert span.attributes["gen_ai.operation.name"] == "execute_tool"
    assert span.attributes["gen_ai.tool.name"] == "search"
    assert (told.kind, told.tool) == ("tool", "search")
    assert told.arguments == {"query": "plums", "k": 3}
    assert told.result == ["plums"] * 3


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (lambda: search("a", k=1), ["a"]),
        (lambda: found("a"), "about a"),
        (lambda: [*pages(2)], [{"page": 0}, {"page": 1}]),
        (lambda: _all(lines(2)), ["line 0", "line 1"]),
        (lambda: [*pages(0)], []),
    ],
)
def test_every_kind_of_function_is_a_tool(step, spans, call, result):
    """One that returns, one that is awaited, and one that yields, whose items are its result."""
    _, (told,) = run(step, spans, call)

    assert told.result == result


async def _all(items):
    return [item async for item in items]


def test_a_method_is_a_tool_whichever_kind_of_method_it_is(step, spans):
    """The object is not what it is called with."""

    class Shelf:
        @agl.tool
        def take(self, title):
            return {"took": title}

        @agl.tool
        @staticmethod
        def size(unit):
            return f"3 {unit}"

        @classmethod
        @agl.tool
        def named(cls, name):
            return name

    _, told = run(step, spans, lambda: (Shelf().take("a"), Shelf.size("m"), Shelf.named("s")))

    assert [(one.tool, one.arguments) for one in told] == [
        ("take", {"title": "a"}),
        ("size", {"unit": "m"}),
        ("named", {"name": "s"}),
    ]


def test_what_it_raises_is_told_and_raised(step, spans):
    """The agent sees its own error, the trace says which."""

    @agl.tool
    def broken(path):
        raise FileNotFoundError(path)

    def body():
        with pytest.raises(FileNotFoundError, match="here"):
            broken("here")

    (span,), (told,) = run(step, spans, body)

    assert told.error == "FileNotFoundError"
    assert (span.status.status_code, span.status.description) == ("ERROR", "here")
    assert span.attributes["exception.type"] == "FileNotFoundError"


def test_tools_that_run_beside_each_other_are_told_each(step, spans):
    """In tasks of one loop."""

    async def body():
        await asyncio.gather(*(found(str(number)) for number in range(5)))

    _, told = run(step, spans, body)

    assert sorted(one.arguments["query"] for one in told) == list("01234")


def test_a_tool_in_a_thread_is_told(step, spans):
    """Where the thread carries the context."""
    _, (told,) = run(step, spans, lambda: asyncio.to_thread(search, "deep"))

    assert told.arguments["query"] == "deep"


def test_what_is_said_in_a_tool_has_it_as_parent(step, spans):
    """A tool within a tool too."""

    @agl.tool
    def outer():
        agl.emit_message("inside")
        return search("in", k=1)

    @agl.rollout
    def agent(task):
        outer()

    named = {span.name: span for span in spans(step(agent))}

    assert named["agentlightning.message"].parent_id == named["execute_tool outer"].span_id
    assert named["execute_tool search"].parent_id == named["execute_tool outer"].span_id


def test_outside_an_attempt_it_is_the_function():
    """No error, and nothing is written: the agent's own tests call it as ever."""
    assert search("a", k=1) == ["a"]
    assert asyncio.run(found("a")) == "about a"
    assert [*pages(1)] == [{"page": 0}]
    assert asyncio.run(_all(lines(1))) == ["line 0"]


@pytest.mark.parametrize("fn", [search, found, pages, lines])
def test_it_looks_like_the_function_that_it_marks(fn):
    """A framework makes the tool's schema of it: name, docstring, signature, types and kind are the function's own."""
    own = fn.__wrapped__

    assert fn.__name__ == own.__name__
    assert fn.__doc__ == own.__doc__
    assert fn.__module__ == own.__module__
    assert inspect.signature(fn) == inspect.signature(own)
    assert typing.get_type_hints(fn) == typing.get_type_hints(own)
    for kind in (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction):
        assert kind(fn) == kind(own)


def test_arguments_that_are_values_are_told_and_others_are_named(step, spans):
    """A data class, an id and a tuple are values; a framework's handle is none, and is not compared."""

    @dataclass
    class Where:
        place: tuple
        id: UUID

    @agl.tool
    def go(context, where, *rest, **more):
        return None

    where = Where((1, 2), UUID(int=7))
    (span,), (told,) = run(step, spans, lambda: go(object(), where, {"b", "a"}, to={1: None}))

    assert told.arguments == {
        "context": "<builtins.object>",
        "where": {"place": [1, 2], "id": "00000000-0000-0000-0000-000000000007"},
        "rest": [["a", "b"]],
        "more": {"to": {"1": None}},
    }
    assert span.attributes["agl.tool.untold"] == ["context"]


def test_an_argument_that_holds_itself_is_named(step, spans):
    """It has no end that could be told."""
    around: list = []
    around.append(around)

    (span,), _ = run(step, spans, lambda: search(around, k=0))

    assert span.attributes["agl.tool.untold"] == ["query"]


def test_a_result_that_is_no_json_is_told_and_warned_of_once(step, spans, caplog):
    """A replay could not give a tuple back: it says so when it is recorded, and not at the thousandth call again."""

    @agl.tool
    def pair():
        return (1, 2)

    with caplog.at_level(logging.WARNING):
        spans_, told = run(step, spans, lambda: (pair(), pair()))

    assert [one.result for one in told] == [[1, 2], [1, 2]]
    assert [span.attributes["agl.tool.result"] for span in spans_] == ["untold", "untold"]
    assert len([message for message in caplog.messages if "'pair' gave what is no JSON" in message]) == 1


def test_a_tool_that_runs_again_may_give_what_it_likes(step, spans, caplog):
    """Nobody has to give back what a `live` or a `pure` tool gives."""

    @agl.tool(replay="live")
    def now():
        return object

    with caplog.at_level(logging.WARNING):
        run(step, spans, now)

    assert not caplog.records


@pytest.mark.parametrize("value", ["[1]", "{", "", "ä", "\ud800", 0, 1.5, None, True, [], {"b": 1, "a": [None]}])
def test_a_result_is_kept_to_the_letter(step, spans, value):
    """Text that looks like JSON stays text, and the order of a dict's names is kept."""

    @agl.tool
    def give():
        return value

    (span,), _ = run(step, spans, give)
    told = span.attributes["gen_ai.tool.call.result"]

    kept = told if span.attributes["agl.tool.result"] == "text" else json.loads(told)
    assert repr(kept) == repr(value)


def test_what_a_generator_yielded_is_as_it_was_then(step, spans):
    """Its consumer may change it afterwards."""

    def body():
        for page in pages(2):
            page["page"] = "changed"

    _, (told,) = run(step, spans, body)

    assert told.result == [{"page": 0}, {"page": 1}]


def test_a_generator_that_is_left_has_not_failed(step, spans):
    """What it had yielded is kept, and that it was left."""

    def body():
        items = pages(5)
        next(items)
        items.close()

    (span,), (told,) = run(step, spans, body)

    assert told.result == [{"page": 0}]
    assert span.attributes["agl.tool.left"] is True
    assert span.status.status_code == "OK"


def test_a_partial_is_a_tool_by_the_name_of_its_function(step, spans):
    """It has none of its own."""
    _, (told,) = run(step, spans, lambda: agl.tool(functools.partial(search.__wrapped__, k=1))("a"))

    assert told.tool == "search"


class Tool:
    """As frameworks have them: an object that can be called."""

    def __call__(self):
        """Do nothing."""


@pytest.mark.parametrize("fn", [Tool(), "search", 3])
def test_what_is_no_function_is_refused(fn):
    """A framework's tool object has to be made of the marked function, and not the other way round."""
    with pytest.raises(BadValue, match="below the framework's own decorator"):
        agl.tool(fn)


def test_a_way_that_nobody_knows_is_refused():
    """When the tool is marked, and not when it is replayed."""
    with pytest.raises(BadValue, match="recorded, pure, live"):
        agl.tool(replay="cached")
