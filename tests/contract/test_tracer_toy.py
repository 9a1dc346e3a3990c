"""A tracer of a framework of a few lines keeps the contract; one with a common fault does not."""

import time
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from inspect import signature

import pytest

from agl_core.errors import LogError, OutsideAttempt
from agl_core.events import SpanRecorded, TracerAttached
from agl_core.ids import new_id
from agl_core.recorder import agent, current
from agl_core.testing import TracerContract


class Framework:
    """Agents with one tool, a place where spans are made, and telemetry for its host."""

    def __init__(self):
        self.span = lambda _kind, _name: nullcontext()
        self.host = []

    async def act(self, name, inside):
        """An agent of that name uses its tool."""
        for words in self.host:
            words.append("an agent acts")
        with self.span("agent", name), self.span("tool", name):
            await inside()


class Tracer:
    """As it should be."""

    above = ContextVar("above", default=None)

    def __init__(self, framework):
        self.framework, self.original, self.inside = framework, framework.span, 0

    @contextmanager
    def install(self, recorder):
        """In front of the framework's spans, while anybody wants it."""
        self.inside += 1
        if self.inside == 1:
            self.framework.span = self.span
            recorder.note(TracerAttached(name="toy", package="toy", version="1")).result()
        try:
            yield
        finally:
            self.inside -= 1
            if self.is_last():
                self.framework.span = self.original

    def is_last(self):
        """Whether nobody wants it any more."""
        return not self.inside

    @contextmanager
    def span(self, kind, name):
        """A piece of an agent's work, in the attempt and in the piece that it is part of."""
        try:
            scope = current()
        except OutsideAttempt:
            yield
            return
        span_id, parent_id, started_at = new_id("sp"), self.above.get(), time.time_ns()
        token = self.above.set(span_id)
        try:
            with agent(name):
                yield
        finally:
            self.above.reset(token)
            span = SpanRecorded(
                rollout_id=scope.rollout_id,
                attempt_id=scope.attempt_id,
                span_id=span_id,
                parent_id=parent_id,
                name=kind,
                agent=name,
                started_at=started_at,
                ended_at=time.time_ns(),
            )
            self.keep(scope, span)

    def keep(self, scope, span):
        """Or not, if it cannot be."""
        with suppress(LogError):
            scope.expect(scope.recorder.record(span, scope))


class Staying(Tracer):
    """Never goes."""

    def is_last(self):
        """Not even then."""
        return False


class Hasty(Tracer):
    """Goes with the first who leaves."""

    def is_last(self):
        """Whoever it is."""
        return True


class Loud(Tracer):
    """Raises what it cannot do."""

    def keep(self, scope, span):
        """Or fail."""
        scope.expect(scope.recorder.record(span, scope))


class Everywhere:
    """A variable that all contexts share."""

    def __init__(self):
        self.values = [None]

    def get(self):
        """The last that anybody set."""
        return self.values[-1]

    def set(self, value):
        """For all."""
        self.values.append(value)

    def reset(self, _token):
        """Whichever was last."""
        self.values.pop()


class Sharing(Tracer):
    """Keeps what it is in where others see it."""

    above = Everywhere()


class Greedy(Tracer):
    """Takes the place of the host's telemetry."""

    @contextmanager
    def install(self, recorder):
        """And throws the others out."""
        self.framework.host, hosts = [], self.framework.host
        with super().install(recorder):
            yield
        self.framework.host = hosts


FAULTS = {
    "test_everything_is_the_very_object_it_was": Staying,
    "test_it_is_taken_out_by_the_last_who_leaves": Hasty,
    "test_two_attempts_in_one_loop_never_mix": Sharing,
    "test_what_the_tracer_fails_at_never_reaches_the_agent": Loud,
    "test_a_hosts_own_telemetry_is_told_the_same": Greedy,
}


class TestToy(TracerContract):
    """The toy keeps it all."""

    @pytest.fixture
    def framework(self):
        """Untouched."""
        return Framework()

    @pytest.fixture
    def install(self, framework):
        """Of this framework."""
        return Tracer(framework).install

    @pytest.fixture
    def act(self, framework):
        """By its own means."""
        return framework.act

    @pytest.fixture
    def marks(self, framework):
        """The one place."""
        return lambda: [framework.span]

    @pytest.fixture
    def host(self, framework):
        """A list of what happens."""

        @contextmanager
        def told():
            words = []
            framework.host.append(words)
            yield words
            with suppress(ValueError):
                framework.host.remove(words)

        return told

    @pytest.mark.parametrize(("promise", "faulty"), FAULTS.items())
    def test_a_fault_is_found_by_the_promise_that_it_breaks(
        self, promise, faulty, framework, act, marks, host, attempts
    ):
        """The contract can fail."""
        given = {"install": faulty(framework).install, "act": act, "marks": marks, "host": host, "attempts": attempts}
        kept = getattr(self, promise)

        with pytest.raises((AssertionError, LogError)):
            kept(**{name: given[name] for name in signature(kept).parameters})
