"""Operations: what was called with what, what came of it, and what was done in what."""

import asyncio
import contextlib

import pytest

import agl_core as agl
from agl_core.errors import BadValue, OutsideAttempt


def told(span) -> dict:
    """What the operation says, without the common beginning of its names."""
    return {name.removeprefix("agentlightning.operation."): value for name, value in span.attributes.items()}


@agl.operation
def add(a, b=2):
    """A plain function."""
    return a + b


def run(step, spans, body):
    """The spans of an agent that does `body`."""

    @agl.rollout
    async def agent(task):
        done = body()
        if asyncio.iscoroutine(done):
            await done

    return spans(step(agent))


def test_a_call_tells_arguments_by_name_and_its_result(step, spans):
    """As v0.3's spans have them."""
    (span,) = run(step, spans, lambda: add(40))

    assert span.name == "agentlightning.operation"
    assert span.status.status_code == "OK"
    assert told(span) == {"name": "add", "input.a": 40, "output": 42}
    assert span.end_time >= span.start_time


def test_a_method_tells_no_self(step, spans):
    """The object is not what it was called with."""

    class Counter:
        @agl.operation(name="count", unit="words")
        def count(self, text, *, at_least=0):
            return {"words": len(text.split()), "least": at_least}

    (span,) = run(step, spans, lambda: Counter().count("a b", at_least=1))

    assert told(span) == {
        "name": "count", "unit": "words", "input.text": "a b", "input.at_least": 1, "output.words": 2,
        "output.least": 1,
    }  # fmt: skip


def test_an_exception_is_told_and_raised(step, spans):
    """The operation does not swallow it."""

    @agl.operation
    async def fails():
        raise KeyError("k")

    async def body():
        with pytest.raises(KeyError):
            await fails()

    (span,) = run(step, spans, body)

    assert span.status.status_code == "ERROR"
    assert span.attributes["exception.type"] == "KeyError"
    assert "fails" in span.attributes["exception.stacktrace"]


def test_what_is_said_inside_has_the_operation_as_its_parent(step, spans):
    """Of nested ones, the innermost."""

    def body():
        with agl.operation(name="outer"):
            agl.emit_message("first")
            with agl.operation(name="inner"):
                agl.emit_message("second")
            agl.emit_message("third")
        agl.emit_message("outside")

    found = run(step, spans, body)

    ids = {told(span)["name"]: span.span_id for span in found if "operation" in span.name}
    parents = {span.attributes.get("agentlightning.message.body"): span.parent_id for span in found}
    assert {name: parents[name] for name in ("first", "second", "third", "outside")} == {
        "first": ids["outer"], "second": ids["inner"], "third": ids["outer"], "outside": None,
    }  # fmt: skip
    assert next(span.parent_id for span in found if span.span_id == ids["inner"]) == ids["outer"]


def test_concurrent_operations_do_not_mix(step, spans):
    """Each task has its own."""

    @agl.operation
    async def work(name, mine, others):
        mine.set()
        await others.wait()
        agl.emit_message(name)

    async def body():
        one, two = asyncio.Event(), asyncio.Event()
        await asyncio.gather(work("one", one, two), work("two", two, one))

    found = run(step, spans, body)

    ids = {told(span)["input.name"]: span.span_id for span in found if "operation" in span.name}
    assert {
        span.attributes["agentlightning.message.body"]: span.parent_id for span in found if "message" in span.name
    } == ids


def test_a_function_that_calls_itself_is_nested(step, spans):
    """One span for each call."""

    @agl.operation
    def down(n):
        return down(n - 1) if n else 0

    found = {told(span)["input.n"]: span for span in run(step, spans, lambda: down(2))}

    assert [found[n].parent_id for n in (2, 1, 0)] == [None, found[2].span_id, found[1].span_id]


class TestGenerators:
    """A span lasts from the first item to the last, and what the consumer does between two items is not inside."""

    def test_items_and_parents(self, step, spans):
        """What the body says is inside; what its consumer says is not."""

        @agl.operation
        def count(n):
            for number in range(n):
                agl.emit_message(f"in {number}")
                yield number
            return "done"

        def body():
            for number in count(2):
                agl.emit_message(f"out {number}")

        found = run(step, spans, body)

        (made,) = (span for span in found if "operation" in span.name)
        parents = {span.attributes.get("agentlightning.message.body"): span.parent_id for span in found}
        assert told(made) == {"name": "count", "input.n": 2, "output": [0, 1]}
        assert (parents["in 1"], parents["out 1"]) == (made.span_id, None)

    def test_async_items(self, step, spans):
        """As the others."""

        @agl.operation
        async def stream():
            agl.emit_message("in")
            yield "a"
            yield "b"

        async def body():
            async for _ in stream():
                agl.emit_message("out")

        found = run(step, spans, body)

        (made,) = (span for span in found if "operation" in span.name)
        parents = {span.attributes.get("agentlightning.message.body"): span.parent_id for span in found}
        assert told(made)["output"] == ["a", "b"]
        assert (parents["in"], parents["out"]) == (made.span_id, None)

    def test_what_is_sent_and_thrown_arrives(self, step, spans):
        """It is the same generator."""
        heard = []

        @agl.operation
        def listens():
            with contextlib.suppress(KeyError):
                heard.append((yield 1))
                yield 2
            heard.append("survived")
            yield 3

        def body():
            items = listens()
            assert next(items) == 1
            assert items.send("x") == 2
            assert items.throw(KeyError("k")) == 3
            items.close()

        (span,) = run(step, spans, body)

        assert heard == ["x", "survived"]
        assert span.status.status_code == "OK"
        assert told(span)["output"] == [1, 2, 3]

    @pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
    def test_one_that_raises_says_so(self, step, spans, is_async):
        """With what it had yielded."""

        @agl.operation
        def breaks():
            yield 1
            raise ValueError("bad")

        @agl.operation
        async def breaks_async():
            yield 1
            raise ValueError("bad")

        async def body():
            async def run_out():
                return [item async for item in breaks_async()] if is_async else list(breaks())

            with pytest.raises(ValueError, match="bad"):
                await run_out()

        (span,) = run(step, spans, body)

        assert (span.status.status_code, told(span)["output"]) == ("ERROR", [1])

    def test_one_that_is_never_run_leaves_no_span(self, step, spans):
        """Its body did not begin."""

        @agl.operation
        def count():
            yield 1

        assert run(step, spans, lambda: count() and None) == []


def test_a_block_tells_its_input_and_output(step, spans):
    """And gives its span, once it has ended."""
    given = []

    def body():
        with agl.operation(name="n", k=1) as work:
            work.set_input(1, a=2)
            work.set_output({"q": [1]})
            with pytest.raises(BadValue, match="not ended"):
                work.span()
        given.append(work.span())

    (span,) = run(step, spans, body)

    assert told(span) == {"k": 1, "name": "n", "input.args.0": 1, "input.a": 2, "output.q": [1]}
    assert given[0].attributes == span.attributes


def test_a_value_that_is_no_json_is_told_as_text(step, spans):
    """An operation never fails for what it was given."""

    class Odd:
        def __repr__(self):
            return "<odd>"

    @agl.operation
    def echo(thing):
        return [thing, {1, 2}, b"x"]

    (span,) = run(step, spans, lambda: echo(Odd()))

    assert told(span)["input.thing"] == "<odd>"


def test_an_operation_outside_an_attempt_is_refused_unless_it_stays():
    """At its begin, before the work is done."""
    with pytest.raises(OutsideAttempt):
        add(1)

    with agl.operation(name="alone", propagate=False) as work:
        pass

    assert work.span().attributes == {"agentlightning.operation.name": "alone"}


def test_a_name_alone_is_no_function():
    """`@operation("name")` would decorate a text."""
    with pytest.raises(BadValue, match="name="):
        agl.operation("name")


def test_an_operation_of_another_attempt_is_no_parent(store, step, spans):
    """An attempt that begins inside one has its own trace."""
    inner = []

    @agl.rollout
    def agent(task):
        agl.emit_message("inside")

    @agl.rollout
    async def around(task):
        with agl.operation(name="around"):
            from agl_core.runner import Runner

            with Runner().run_context(agent=agent, store=store) as runner:
                inner.append(await runner.step({"n": 2}))

    step(around)

    (message,) = spans(inner[0])
    assert message.parent_id is None
