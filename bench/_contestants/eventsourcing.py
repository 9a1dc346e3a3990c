"""The `eventsourcing` library, in its own environment: an application over its SQLite store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from bench._contestants._serve import serve
from bench._workload import calls


class Rollout(Aggregate):
    """What calls belong to."""

    def __init__(self) -> None:
        self.calls = 0

    @event("CallRecorded")
    def record(self, attributes: dict[str, Any]) -> None:
        """A model was asked."""
        self.calls += 1


def append(count: int, batch: int) -> dict[str, float]:
    """Events that are ready, kept in batches: one transaction each."""
    with _application() as application:
        ready = _events(count)
        before = perf_counter()
        for start in range(0, count, batch):
            application.events.put(ready[start : start + batch])
        return {"events/s": count / (perf_counter() - before)}


def replay(count: int) -> dict[str, float]:
    """All events of an aggregate, out of the file and decoded."""
    with _application() as application:
        ready = _events(count)
        application.events.put(ready)
        before = perf_counter()
        found = sum(1 for _ in application.events.get(ready[0].originator_id))
        assert found == count
        return {"events/s": count / (perf_counter() - before)}


@contextmanager
def _application() -> Iterator[Any]:
    with tempfile.TemporaryDirectory(prefix="agl-bench-") as folder:
        file = str(Path(folder, "events.db"))
        application: Any = Application(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": file})
        try:
            yield application
        finally:
            application.close()


def _events(count: int) -> list[Any]:
    rollout = Rollout()
    for call in calls(count - 1):
        rollout.record(call.attributes())
    return list(rollout.collect_events())


if __name__ == "__main__":
    serve({"append": append, "replay": replay})
