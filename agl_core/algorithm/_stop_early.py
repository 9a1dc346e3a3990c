"""Stop early: a run whose metric gains nothing any more is asked to come to its end."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from agl_core.errors import BadValue
from agl_core.events import Event, MetricsLogged, RunStopAsked
from agl_core.record import Draft, Record

__all__ = ["StopEarly"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Readings:
    """What was read of the metric so far."""

    best: float | None = None
    step: int = 0
    """At which the best was read."""
    since: int = 0
    """Readings without a gain."""
    is_asked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StopEarly:
    """Asks the run to stop, once, when so many readings of a metric in a row gain too little on the best before."""

    name: ClassVar[str] = "stop_early"
    version: ClassVar[str] = "1"
    hears: ClassVar[Collection[type[Event]]] = (MetricsLogged, RunStopAsked)

    metric: str = "val/reward"
    """What is read, each time the run logs it."""
    patience: int = 3
    """Readings without a gain, after which it asks."""
    min_delta: float = 0.0
    """A gain is more than this."""
    falls: bool = False
    """Whether less is better, as of a loss."""

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise BadValue("stop_early.patience", self.patience, why="it is a number of readings, at least 1")
        if self.min_delta < 0:
            raise BadValue("stop_early.min_delta", self.min_delta, why="it is a gain: 0, or more")

    def begin(self) -> _Readings:
        """Nothing was read."""
        return _Readings()

    def evolve(self, state: _Readings, record: Record) -> _Readings:
        """A gain is the new best, and patience begins again."""
        match record.event:
            case RunStopAsked():
                return replace(state, is_asked=True)
            case MetricsLogged(metrics=metrics, step=step) if self.metric in metrics:
                if state.best is None or self._gain(metrics[self.metric], state.best) > self.min_delta:
                    return replace(state, best=metrics[self.metric], step=step, since=0)
                return replace(state, since=state.since + 1)
        return state

    def decide(self, state: _Readings, record: Record) -> Iterator[Draft]:
        """Ask, when patience is at its end and nobody asked before."""
        if isinstance(record.event, MetricsLogged) and state.since >= self.patience and not state.is_asked:
            gained = f"did not gain more than {self.min_delta:g}" if self.min_delta else "gained nothing"
            still = f"{state.best:g} at step {state.step} is still the best"
            why = f"{self.metric} {gained} in {state.since} readings: {still}"
            run_id = record.event.run_id
            yield Draft(stream=f"run/{run_id}", event=RunStopAsked(run_id=run_id, why=why, by=self.name))

    def _gain(self, value: float, best: float) -> float:
        return best - value if self.falls else value - best
