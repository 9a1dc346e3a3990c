"""What every tracer of a framework promises, as tests to inherit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from typing import Any, NoReturn

import pytest

from agl_core.errors import LogError
from agl_core.events import Event, TracerAttached
from agl_core.recorder import Recorder, Scope, attributed, current
from agl_core.testing._attempts import Attempts

__all__ = ["TracerContract"]

PATIENCE = 60.0
"""Seconds that one agent waits for the other."""

Install = Callable[[Recorder], AbstractContextManager[None]]
Inside = Callable[[], Awaitable[None]]
Act = Callable[[str, Inside], Coroutine[Any, Any, None]]
Marks = Callable[[], Sequence[object]]
Host = Callable[[], AbstractContextManager[Sequence[str]]]


class TracerContract:
    """Inherit, and override `install`, `act`, `marks` and `host`."""

    @pytest.fixture
    def install(self) -> Install:
        """What the plugin's `agl_install_tracer` does with a recorder."""
        raise NotImplementedError("override the fixture `install`")

    @pytest.fixture
    def act(self) -> Act:
        """Has an agent of the framework, of a given name, use a tool that awaits what it is given, once."""
        raise NotImplementedError("override the fixture `act`")

    @pytest.fixture
    def marks(self) -> Marks:
        """Every object that the tracer puts another one in the place of, as it is at the moment of asking."""
        raise NotImplementedError("override the fixture `marks`")

    @pytest.fixture
    def host(self) -> Host:
        """Telemetry of a host's own: what it was told while the context was entered, without ids and times."""
        raise NotImplementedError("override the fixture `host`")

    @pytest.fixture
    def attempts(self) -> Iterator[Attempts]:
        """A log in memory."""
        with Attempts.opened() as opened:
            yield opened

    # --- coming and going

    def test_everything_is_the_very_object_it_was(self, install: Install, marks: Marks, attempts: Attempts) -> None:
        """Installing and taking out are a pair."""
        before = marks()

        with install(attempts.recorder):
            during = marks()

        assert _are_same(marks(), before)
        assert not _are_same(during, before)

    def test_it_is_taken_out_by_the_last_who_leaves(
        self, install: Install, act: Act, marks: Marks, attempts: Attempts
    ) -> None:
        """Two may want it, and leave in the order they came; once is seen once."""
        before, scope = marks(), attempts.begun()
        first, second = install(attempts.recorder), install(attempts.recorder)

        with ExitStack() as later:
            with ExitStack() as sooner:
                sooner.enter_context(first)
                later.enter_context(second)
                within = marks()
                _acted(act, "both", scope)
            once = len(attempts.spans(scope))
            still = marks()
            _acted(act, "second", scope)

        assert _are_same(still, within)
        assert len(attempts.spans(scope)) == 2 * once > 0
        assert _are_same(marks(), before)

    def test_it_says_what_it_is_attached_to(self, install: Install, act: Act, attempts: Attempts) -> None:
        """The handshake names each package and its version, once."""
        with install(attempts.recorder):
            _acted(act, "one", attempts.begun())

        attached = attempts.facts(TracerAttached)
        assert attached
        assert len({fact.package for fact in attached}) == len(attached)
        assert all(fact.name and fact.package and fact.version for fact in attached)

    # --- what it sees

    def test_the_spans_of_an_attempt_are_a_tree(self, install: Install, act: Act, attempts: Attempts) -> None:
        """Each is in another one of the same attempt or in none, and began in its time."""
        scope = attempts.begun()

        with install(attempts.recorder):
            _acted(act, "one", scope)

        spans = attempts.spans(scope)
        by_id = {span.span_id: span for span in spans}
        assert len(by_id) == len(spans) >= 2
        assert {span.parent_id for span in spans} <= {None, *by_id}
        assert any(span.parent_id for span in spans)
        for span in spans:
            above = by_id[span.parent_id] if span.parent_id else span
            assert above.started_at <= span.started_at <= span.ended_at <= above.ended_at

    def test_what_an_agent_does_bears_its_name(self, install: Install, act: Act, attempts: Attempts) -> None:
        """While it runs, for spans and for whoever asks the context; afterwards the name is who it was."""
        scope, names = attempts.begun(), []

        async def ask() -> None:
            names.append(current().agent)

        async def story() -> None:
            with attributed(scope):
                await act("solver", ask)
                await ask()

        with install(attempts.recorder):
            asyncio.run(story())

        assert names == ["solver", None]
        assert "solver" in {span.agent for span in attempts.spans(scope)}

    def test_nothing_is_seen_outside_attempts(self, install: Install, act: Act, attempts: Attempts) -> None:
        """Work that belongs to no attempt is nobody's to record, and is done as ever."""
        done: list[str] = []

        async def do() -> None:
            done.append("done")

        with install(attempts.recorder):
            asyncio.run(act("nobody's", do))

        assert done == ["done"]
        assert [fact for fact in attempts.facts(Event) if not isinstance(fact, TracerAttached)] == []

    def test_nothing_is_seen_before_and_after(self, install: Install, act: Act, attempts: Attempts) -> None:
        """A tracer that was taken out hears nothing."""
        scope = attempts.begun()

        _acted(act, "before", scope)
        with install(attempts.recorder):
            pass
        _acted(act, "after", scope)

        assert attempts.spans(scope) == []

    # --- at once

    def test_two_attempts_in_one_loop_never_mix(self, install: Install, act: Act, attempts: Attempts) -> None:
        """Both are in the middle of their work at the same time; each has its own spans, and as many as alone."""
        alone, scopes = attempts.begun(), [attempts.begun(), attempts.begun()]
        names: list[tuple[str, str | None]] = []

        async def run(scope: Scope, together: asyncio.Barrier) -> None:
            async def meet() -> None:
                await together.wait()
                names.append((scope.attempt_id, current().agent))

            with attributed(scope):
                await act(f"agent of {scope.attempt_id}", meet)

        async def story() -> None:
            together = asyncio.Barrier(2)
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*(run(scope, together) for scope in scopes))

        with install(attempts.recorder):
            _acted(act, f"agent of {alone.attempt_id}", alone)
            asyncio.run(story())

        assert sorted(names) == sorted((scope.attempt_id, f"agent of {scope.attempt_id}") for scope in scopes)
        _check_apart(attempts, alone, scopes)

    def test_two_attempts_in_threads_never_mix(self, install: Install, act: Act, attempts: Attempts) -> None:
        """The same, each in a loop of its own."""
        alone, scopes = attempts.begun(), [attempts.begun(), attempts.begun()]
        together = threading.Barrier(2, timeout=PATIENCE)

        async def meet() -> None:
            together.wait()

        def run(scope: Scope, ended: Future[None]) -> None:
            try:
                _acted(act, f"agent of {scope.attempt_id}", scope, meet)
            except BaseException as error:  # noqa: BLE001 - it is raised again where the test waits
                ended.set_exception(error)
            else:
                ended.set_result(None)

        with install(attempts.recorder):
            _acted(act, f"agent of {alone.attempt_id}", alone)
            ends: list[Future[None]] = [Future(), Future()]
            threads = [threading.Thread(target=run, args=pair) for pair in zip(scopes, ends, strict=True)]
            for thread in threads:
                thread.start()
            for end, thread in zip(ends, threads, strict=True):
                end.result(PATIENCE)
                thread.join(PATIENCE)

        _check_apart(attempts, alone, scopes)

    # --- a guest

    def test_what_the_tracer_fails_at_never_reaches_the_agent(
        self, install: Install, act: Act, attempts: Attempts
    ) -> None:
        """It cannot keep a thing, and the agent works on."""
        scope, done = attempts.begun(_Deaf(attempts.log)), []

        async def do() -> None:
            done.append("done")

        with install(attempts.recorder):
            _acted(act, "undisturbed", scope, do)

        assert done == ["done"]

    def test_what_the_agent_fails_at_is_raised_as_ever(self, install: Install, act: Act, attempts: Attempts) -> None:
        """The same error, with the tracer and without."""

        async def fail() -> None:
            raise LookupError("no such thing")

        def raised() -> BaseException | None:
            try:
                _acted(act, "clumsy", attempts.begun(), fail)
            except Exception as error:  # noqa: BLE001 - whatever a framework makes of it
                return error
            return None

        without = raised()
        with install(attempts.recorder):
            with_it = raised()

        assert (type(with_it), str(with_it)) == (type(without), str(without))

    def test_a_hosts_own_telemetry_is_told_the_same(
        self, install: Install, act: Act, host: Host, attempts: Attempts
    ) -> None:
        """Whether the tracer is in or not, and whoever came first; and takes nothing away from the tracer."""
        scopes = [attempts.begun(), attempts.begun()]

        with host() as without:
            _acted(act, "one", attempts.begun())
        with install(attempts.recorder), host() as later:
            _acted(act, "one", scopes[0])
        with host() as sooner, install(attempts.recorder):
            _acted(act, "one", scopes[1])

        assert list(later) == list(sooner) == list(without) != []
        assert all(attempts.spans(scope) for scope in scopes)


class _Deaf(Recorder):
    def record(self, *_event: Any, **_fields: Any) -> NoReturn:
        raise LogError("nothing can be kept")


async def _nothing() -> None:
    pass


def _acted(act: Act, name: str, scope: Scope, inside: Inside = _nothing) -> None:
    with attributed(scope):
        asyncio.run(act(name, inside))


def _are_same(some: Sequence[object], others: Sequence[object]) -> bool:
    return len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))


def _check_apart(attempts: Attempts, alone: Scope, scopes: Sequence[Scope]) -> None:
    expected = len(attempts.spans(alone))
    for scope in scopes:
        spans = attempts.spans(scope)
        own = {span.span_id for span in spans}
        assert len(own) == expected
        assert {span.agent for span in spans} <= {None, f"agent of {scope.attempt_id}"}
        assert {span.parent_id for span in spans} <= {None, *own}
