"""A history is read through the upcasts of today: what an older release wrote is what today's code would write."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

import agl_core as agl
from agl_core.events import Event, RunStopAsked, event, upcast
from agl_core.hookspecs import hookimpl
from agl_core.plugins import Plugins
from agl_core.record import Draft, Record
from agl_core.trainer import Trainer, check_history


@event("weather.noted", schema=1)
class Noted(Event):
    """As it was written once: Fahrenheit."""

    degrees: float


@event("weather.noted", schema=2)
class NotedSince(Event):
    """As it is written today."""

    celsius: float


@upcast("weather.noted", since=1)
def right(data: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 had Fahrenheit."""
    return {"celsius": (data["degrees"] - 32) / 1.8}


@upcast("weather.noted", since=1)
def wrong(data: dict[str, Any]) -> dict[str, Any]:
    """Schema 1 had something else, it thinks."""
    return {"celsius": data["degrees"]}


class Weather:
    """A plugin that brings its event, in the schema of its day."""

    def __init__(self, *events: Any) -> None:
        self.events = events

    @hookimpl
    def agl_register_events(self) -> Any:
        """And its upcasts."""
        return self.events


@dataclass(frozen=True, kw_only=True)
class Shy:
    """Ends a run when it is hot."""

    name: ClassVar[str] = "shy"
    version: ClassVar[str] = "1"
    hears: ClassVar[tuple[type[Event], ...]] = ()

    def begin(self) -> None:
        """It knows nothing."""

    def evolve(self, state: None, record: Record) -> None:
        """And learns nothing."""

    def decide(self, state: None, record: Record) -> Iterator[Draft]:
        """Whoever measured it."""
        match record.event:
            case Noted(degrees=degrees):
                celsius = (degrees - 32) / 1.8
            case NotedSince(celsius=celsius):
                pass
            case _:
                return
        if 30 < celsius < 50:
            run_id = str(record.correlation_id)
            yield Draft(stream=f"run/{run_id}", event=RunStopAsked(run_id=run_id, why="it is hot", by=self.name))


WRITES: list[Event] = [Noted(degrees=95.0)]


class Outdoors:
    """Notes the weather under a name of its own, and asks whether to go on."""

    name = "outdoors"

    async def run(self, run: agl.Run) -> None:
        """One round."""
        draft = Draft(stream=f"run/{run.id}", event=WRITES[0], key="weather/1", correlation_id=run.id)
        run.store.log.append([draft])
        run.result["stayed"] = await run.goes_on()


@agl.rollout
def idle(task: Any) -> float:
    """Asks nobody."""
    return 1.0


def knowing(*events: Any) -> Plugins:
    """Plugins with that one."""
    plugins = Plugins.load()
    plugins.register(Weather(*events), name="weather")
    return plugins


@pytest.mark.parametrize(("rung", "outcome"), [(right, "same"), (wrong, "diverged")])
def test_a_history_of_an_older_schema_is_gone_through(tmp_path, monkeypatch, rung, outcome):
    """What is written and what is decided are compared as today's code sees them; a rung that errs is found out."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    path = tmp_path / "log.db"
    trainer = Trainer(algorithm=Outdoors(), store=str(path), preflight=False, plugins=knowing(Noted), reactions=[Shy()])
    summary = trainer.fit(idle, [{"n": 0}])
    monkeypatch.setattr(f"{__name__}.WRITES", [NotedSince(celsius=35.0)])

    (checked,) = check_history(path, plugins=knowing(NotedSince, rung))

    assert summary.result == {"stayed": False}
    assert checked.outcome == outcome, str(checked.error)
