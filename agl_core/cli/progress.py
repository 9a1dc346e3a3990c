"""What a run is doing, as it does it: a live line on a terminal, plain lines elsewhere, always on stderr.

    with Progress() as progress:
        Trainer(..., on_records=progress.heard).fit(agent, tasks)

Public: plugins show their own commands' runs with it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Self

from agl_core import events
from agl_core.cli._words import HEADLINES, curve, duration, number

if TYPE_CHECKING:
    from rich.live import Live

    from agl_core.record import Record

__all__ = ["Progress"]

_WINDOW = 10.0
_SILENCE = 5.0


@dataclass(slots=True)
class Tally:
    """What was heard of a run, added up."""

    steps: int | None = None
    """How many there will be, when that is known."""
    run_id: str | None = None
    step: int | None = None
    mode: str | None = None
    """Split of the rollouts that were handed out last."""
    enqueued: int = 0
    running: set[str] = field(default_factory=set)
    settled: int = 0
    calls: int = 0
    rewards: list[float] = field(default_factory=list)
    recent: deque[tuple[float, int]] = field(default_factory=deque)
    """When tokens came, and how many: the last seconds only."""

    def add(self, record: Record, now: float) -> str | None:
        """Take one record in; a line, when it is one to tell."""
        match record.event:
            case events.RunStarted() as event:
                self.run_id = event.run_id
                steps = event.algorithm.config.get("steps")
                self.steps = self.steps or (steps if isinstance(steps, int) else None)
                return f"run {event.run_id}: {event.algorithm.name} on {event.agent.name}"
            case events.RunResumed() as event:
                self.run_id = event.run_id
                return f"run {event.run_id} resumed after event {event.after}"
            case events.RolloutEnqueued() as event:
                self.enqueued += 1
                self.mode = event.mode
            case events.AttemptStarted() as event:
                self.running.add(event.attempt_id)
            case events.AttemptFinished() | events.AttemptExpired() as event:
                self.running.discard(event.attempt_id)
            case events.RolloutFinished() | events.RolloutCancelled():
                self.settled += 1
            case events.CallRecorded() as event:
                self.calls += 1
                self.recent.append((now, sum(len(choice.token_ids) for choice in event.call.choices)))
            case events.MetricsLogged() as event:
                return self._logged(event)
        return None

    def _logged(self, event: events.MetricsLogged) -> str:
        name = next((name for name in HEADLINES if name in event.metrics), None)
        if name:
            self.step = event.step
            self.rewards.append(event.metrics[name])
        told = [name] if name else sorted(event.metrics)[:3]
        return ", ".join(f"{name} {number(event.metrics[name])}" for name in told)

    def rate(self, now: float) -> float:
        """Tokens a second, of late."""
        while self.recent and self.recent[0][0] < now - _WINDOW:
            self.recent.popleft()
        if not self.recent:
            return 0.0
        return sum(count for _, count in self.recent) / max(now - self.recent[0][0], 1.0)

    def counts(self, now: float) -> str:
        """Where things stand, in words."""
        of = f" of {self.enqueued}" if self.enqueued > self.settled else ""
        what = f"{self.mode} rollouts" if self.mode in {"val", "test"} else "rollouts"
        speed = f"{self.rate(now):.0f} tokens/s"
        return f"{what} {self.settled}{of} done, {len(self.running)} running, calls {self.calls}, {speed}"

    def place(self) -> str:
        """`step 3 of 60`, or nothing before the first."""
        if self.step is None:
            return ""
        return f"step {self.step}" + (f" of {self.steps}" if self.steps else "")


class Progress:
    """Hears records, and shows what they come to. `steps`, when the caller knows how many there will be."""

    def __init__(
        self,
        *,
        quiet: bool = False,
        steps: int | None = None,
        stream: IO[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tally = Tally(steps=steps)
        self._quiet, self._stream, self._clock = quiet, stream or sys.stderr, clock
        self._began = self._spoke = clock()
        self._live: Live | None = None
        self._lock = threading.Lock()

    @property
    def run_id(self) -> str | None:
        """The run that was heard of, once it has begun."""
        return self._tally.run_id

    def __enter__(self) -> Self:
        self._began = self._spoke = self._clock()
        if not self._quiet and self._stream.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                get_renderable=self._line,
                console=Console(file=self._stream),
                refresh_per_second=4,
                redirect_stdout=False,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def heard(self, records: Sequence[Record]) -> None:
        """Take in what was recorded; may be called from any thread."""
        with self._lock:
            now = self._clock()
            for record in records:
                line = self._tally.add(record, now)
                if line is not None:
                    self._tell(line, now)
            if self._live is None and now - self._spoke >= _SILENCE:
                self._say(f"{self._tally.counts(now)}, {duration(now - self._began)}", now)

    def _tell(self, line: str, now: float) -> None:
        if not self._tally.place():
            self._say(line, now)
        elif self._live is None:
            spent = duration(now - self._began)
            self._say(f"{self._tally.place()}: {line}, {self._tally.counts(now)}, {spent}", now)

    def _say(self, line: str, now: float) -> None:
        self._spoke = now
        if self._live is not None:
            self._live.console.print(line, highlight=False, markup=False)
        elif not self._quiet:
            print(line, file=self._stream, flush=True)

    def _line(self) -> str:
        with self._lock:
            now = self._clock()
            rewards = self._tally.rewards
            shown = f"reward {number(rewards[-1])} {curve(rewards, width=24)}" if rewards else ""
            parts = (self._tally.place(), shown, self._tally.counts(now), duration(now - self._began))
        return "  ".join(part for part in parts if part)
