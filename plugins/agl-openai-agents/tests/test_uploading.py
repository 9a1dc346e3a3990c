"""What attempts do is not sent to the SDK's vendor; everything else is as it was."""

from __future__ import annotations

import asyncio

import pytest
from agents import set_trace_processors, trace
from agents.tracing import custom_span, processors


class Exporter:
    """In the place of the one that asks the vendor."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def export(self, items) -> None:
        """Note them."""
        self.names += [getattr(item, "name", None) or item.span_data.name for item in items]


@pytest.fixture
def vendor(monkeypatch):
    """What the SDK's own uploader would have sent, once it is flushed."""
    exporter = Exporter()
    made = processors.BatchTraceProcessor(exporter)
    monkeypatch.setattr(processors, "_global_processor", made)
    set_trace_processors([made])

    def sent() -> list[str]:
        made.force_flush()
        return exporter.names

    yield sent
    made.shutdown()


def worked(name: str) -> None:
    """Some work that the SDK traces."""
    with trace(f"trace {name}"), custom_span(f"span {name}"):
        pass


def test_attempts_are_not_uploaded_and_all_else_is(vendor, world):
    """Before, outside and after; and the processor is what it was."""
    processor = processors.default_processor()
    before = dict(vars(processor))

    worked("before")
    with world.attempt(asyncio.run(world.scope())):
        worked("inside")
    worked("after")

    assert sorted(vendor()) == ["span after", "span before", "trace after", "trace before"]
    assert vars(processor).keys() == before.keys()


def test_who_wants_the_upload_has_it(vendor, world, monkeypatch):
    """By a variable."""
    monkeypatch.setenv("AGL_OPENAI_AGENTS_UPLOAD", "1")

    with world.attempt(asyncio.run(world.scope())):
        worked("inside")

    assert sorted(vendor()) == ["span inside", "trace inside"]


def test_processors_of_the_hosts_own_hear_everything(world):
    """They were asked for."""
    exporter = Exporter()
    own = processors.BatchTraceProcessor(exporter)
    set_trace_processors([own])

    with world.attempt(asyncio.run(world.scope())):
        worked("inside")
    own.force_flush()
    own.shutdown()

    assert sorted(exporter.names) == ["span inside", "trace inside"]
