"""Attempts that have begun in a log, for tests of what records in them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from agl_core.events import Event, SpanRecorded
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder, Scope, attributed
from agl_core.store import Store

__all__ = ["Attempts"]

Fact = TypeVar("Fact", bound=Event)
_PATIENCE = 60.0
"""Seconds that a fact may take to be in the log."""


@dataclass(frozen=True)
class Attempts:
    """A log, and attempts in it; override `tracer` with the one that is tested, and add what makes its agents."""

    log: SqliteLog
    recorder: Recorder
    store: Store

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Self]:
        """In memory; nothing has happened."""
        with SqliteLog(":memory:", projections=CORE) as log:
            store = Store(log)
            yield cls(log, Recorder(log), store)
            store.close()

    async def scope(self, recorder: Recorder | None = None) -> Scope:
        """Of an attempt that begins now."""
        rollout = await self.store.start_rollout({"q": 1})
        return Scope(
            recorder=recorder or self.recorder,
            run_id=None,
            rollout_id=rollout.rollout_id,
            attempt_id=rollout.attempt_id,
        )

    def begun(self, recorder: Recorder | None = None) -> Scope:
        """The same, where no loop is running."""
        return asyncio.run(self.scope(recorder))

    def tracer(self) -> AbstractContextManager[None]:
        """What the plugin's `agl_install_tracer` gives for `recorder`."""
        return nullcontext()

    @contextmanager
    def attempt(self, scope: Scope) -> Iterator[Scope]:
        """The tracer is in, and code inside is the attempt's."""
        with self.tracer(), attributed(scope):
            yield scope

    def facts(self, kind: type[Fact], scope: Scope | None = None) -> list[Fact]:
        """What the log has of that kind, of one attempt or of all."""
        for write in list(scope.pending) if scope else ():
            write.result(_PATIENCE)
        found = [record.event for record in self.log.read() if isinstance(record.event, kind)]
        return [fact for fact in found if scope is None or getattr(fact, "attempt_id", None) == scope.attempt_id]

    def spans(self, scope: Scope) -> list[SpanRecorded]:
        """Those of an attempt."""
        return self.facts(SpanRecorded, scope)

    def tree(self, scope: Scope) -> list[Any]:
        """The spans of an attempt, each as `(name, agent, [what is in it])`, in the order they began."""
        return _grown(self.spans(scope), None)


def _grown(spans: Sequence[SpanRecorded], parent_id: str | None) -> list[Any]:
    inside = sorted((span for span in spans if span.parent_id == parent_id), key=lambda span: span.started_at)
    return [(span.name, span.agent, _grown(spans, span.span_id)) for span in inside]
