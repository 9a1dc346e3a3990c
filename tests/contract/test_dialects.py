"""Every dialect of the core keeps what all promise; one with a common fault does not."""

import json
from inspect import signature

import pytest

from agl_core.events import SpanRecorded
from agl_core.spans import SpanMeaning, agentlightning, gen_ai, openinference, openllmetry, own
from agl_core.testing import DialectContract

TURNS = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}])
EXCEPTION = {"name": "exception", "attributes": {"exception.type": "ValueError", "exception.message": "no"}}


def span(name, attributes, *events):
    """One with these attributes."""
    return SpanRecorded(
        rollout_id="ro-1", attempt_id="at-1", span_id="sp-1", name=name, attributes=attributes, events=events,
        started_at=1, ended_at=2,
    )  # fmt: skip


SPOKEN = {
    own: [
        span("solver", {"agl.span.kind": "agent", "gen_ai.agent.name": "solver"}),
        span("to writer", {"agl.span.kind": "handoff", "agl.handoff.agent.name": "writer"}, EXCEPTION),
    ],
    agentlightning: [span("agentlightning.annotation", {"agentlightning.reward.0.value": 0.5})],
    openinference: [
        span(
            "ChatOpenAI",
            {
                "openinference.span.kind": "LLM",
                "llm.model_name": "policy",
                "llm.input_messages.0.message.role": "user",
                "llm.input_messages.0.message.content": "Hi",
                "llm.token_count.prompt": 3,
                "input.value": "{}",
            },
        ),
        span(
            "search", {"openinference.span.kind": "TOOL", "tool.name": "search", "input.value": '{"q": 1}'}, EXCEPTION
        ),
    ],
    openllmetry: [
        span("search.tool", {"traceloop.span.kind": "tool", "traceloop.entity.input": '{"q": 1}'}),
        span(
            "openai.chat", {"llm.request.type": "chat", "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Hi"}
        ),
    ],
    gen_ai: [
        span("chat policy", {"gen_ai.operation.name": "chat", "gen_ai.input.messages": TURNS}, EXCEPTION),
        span("execute_tool search", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}),
    ],
}


class TestCore(DialectContract):
    """Those that come with it."""

    @pytest.fixture(params=SPOKEN, ids=lambda dialect: dialect.NAME)
    def dialect(self, request):
        """Each in turn."""
        return request.param

    @pytest.fixture
    def spoken(self, dialect):
        """A few of its spans."""
        return SPOKEN[dialect]


class Toy:
    """As it should be."""

    NAME = "toy"

    def read(self, span):
        """A tool's span that says so."""
        tool = span.attributes.get("toy.tool")
        if not isinstance(tool, str):
            return None
        return SpanMeaning(kind="tool", name=span.name, dialect=self.NAME, tool=tool, arguments=self.given(span))

    def given(self, span):
        """What it was given, where that is JSON."""
        try:
            return json.loads(span.attributes["toy.input"])
        except (KeyError, TypeError, ValueError, RecursionError):
            return None


class Trusting(Toy):
    """Believes that input is JSON."""

    def given(self, span):
        """As it says."""
        return json.loads(span.attributes.get("toy.input", "{}"))


class Vague(Toy):
    """Knows everything."""

    def read(self, span):
        """Whatever it is."""
        return SpanMeaning(name=span.name, dialect=self.NAME)


class Shy(Toy):
    """Does not give its name."""

    def read(self, span):
        """Somebody said so."""
        told = super().read(span)
        return told and SpanMeaning(kind="tool", name=span.name, tool=told.tool)


class Greedy(Toy):
    """Takes what it reads."""

    def given(self, span):
        """And nobody else will."""
        return span.attributes.pop("toy.input", None)


class Bulky(Toy):
    """Tells of what no JSON can."""

    def given(self, span):
        """An object."""
        return object


FAULTS = {
    "test_nothing_that_a_span_may_hold_is_too_much": Trusting,
    "test_it_leaves_what_does_not_speak_it_to_others": Vague,
    "test_it_knows_what_speaks_it": Shy,
    "test_it_is_heard_before_those_of_the_core": Shy,
    "test_it_is_pure": Greedy,
    "test_what_it_tells_can_be_kept": Bulky,
}


class TestToy(DialectContract):
    """The toy keeps it all."""

    @pytest.fixture
    def dialect(self):
        """As it should be."""
        return Toy()

    @pytest.fixture
    def spoken(self):
        """A tool that ran, in words that others know too."""
        return [span("search", {"toy.tool": "search", "toy.input": '{"q": 1}', "gen_ai.operation.name": "chat"})]

    @pytest.mark.parametrize(("promise", "faulty"), FAULTS.items())
    def test_a_fault_is_found_by_the_promise_that_it_breaks(self, promise, faulty, spoken):
        """The contract can fail."""
        given = {"dialect": faulty(), "spoken": spoken}
        kept = getattr(self, promise)

        with pytest.raises((AssertionError, TypeError, ValueError, RecursionError)):
            kept(**{name: given[name] for name in signature(kept).parameters})
