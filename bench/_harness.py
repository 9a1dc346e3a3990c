"""What every bench is made of: rounds in which all contestants take part, comparisons round by round, and a report.

A machine that is slow for a while slows every contestant of a round, so a ratio is taken within each round, and the
median of those ratios is what counts. A figure alone says as much about the machine as about the code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

__all__ = [
    "Comparison",
    "Contestant",
    "Figures",
    "Measure",
    "Options",
    "Report",
    "Rounds",
    "Spread",
    "calibrate",
    "interleaved",
    "progress",
]

Figures = Mapping[str, float]
"""What a contestant gave in one round: figures by unit."""
Contestant = Callable[[], Figures]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How thorough a bench is."""

    rounds: int | None = None
    """None: as many as the bench thinks right."""
    quick: bool = False
    """A few rounds of little work: whether it runs, not how fast."""
    peers: bool = True
    """False: ours and the bare limits only."""

    def rounds_or(self, usual: int) -> int:
        """The rounds asked for, or as many as are usual."""
        return self.rounds or (min(usual, 2) if self.quick else usual)

    def scaled(self, count: int, *, least: int = 1) -> int:
        """`count`, or a twentieth of it in a quick run."""
        return max(least, count // 20) if self.quick else count


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A median, and how far the rounds lie apart."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """The spread of what was measured, one value a round."""
        found = sorted(values)
        return cls(median=median(found), low=found[0], high=found[-1])

    def scaled(self, factor: float) -> Spread:
        """The same in another unit."""
        return Spread(median=self.median * factor, low=self.low * factor, high=self.high * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A figure, alone or as a ratio to another's, and what it should be."""

    of: str = "ours"
    over: str | None = None
    """Whose figure of the same round it is divided by; None: by nobody's."""
    at_least: float | None = None
    at_most: float | None = None
    row: int | None = None
    """Row of the table of goals that asks for it; without a bound there is none, and it is shown for itself."""

    @property
    def name(self) -> str:
        """`ours / bare SQLite`."""
        return f"{self.of} / {self.over}" if self.over else self.of

    @property
    def goal(self) -> str:
        """`>= 0.6`, or nothing."""
        bounds = ((">=", self.at_least), ("<=", self.at_most))
        return " and ".join(f"{sign} {bound:g}" for sign, bound in bounds if bound is not None)

    def spread(self, figures: Mapping[str, tuple[float, ...]]) -> Spread | None:
        """Over the rounds; None when a contestant is missing."""
        if self.of not in figures or (self.over is not None and self.over not in figures):
            return None
        if self.over is None:
            return Spread.of(figures[self.of])
        pairs = zip(figures[self.of], figures[self.over], strict=True)
        return Spread.of(mine / other if other else float("inf") for mine, other in pairs)

    def is_met(self, found: Spread | None) -> bool | None:
        """Whether the median is within bounds; None when there is no bound, or no figure."""
        if found is None or not self.goal:
            return None
        above = self.at_least is None or found.median >= self.at_least
        return above and (self.at_most is None or found.median <= self.at_most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One question, and what each contestant gave in each round."""

    name: str
    unit: str
    figures: Mapping[str, tuple[float, ...]]
    comparisons: tuple[Comparison, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Every figure of every round, and what follows from them."""
        return {
            "name": self.name,
            "unit": self.unit,
            "contestants": {
                name: {**_spread(Spread.of(values)), "rounds": list(values)} for name, values in self.figures.items()
            },
            "comparisons": [self._compared(comparison) for comparison in self.comparisons],
        }

    def _compared(self, comparison: Comparison) -> dict[str, Any]:
        found = comparison.spread(self.figures)
        return {
            "name": comparison.name,
            **(_spread(found) if found else {"median": None, "low": None, "high": None}),
            "row": comparison.row,
            "goal": comparison.goal or None,
            "met": comparison.is_met(found),
        }

    def table(self) -> str:
        """For a terminal."""
        width = max([24, *(len(name) for name in self.figures), *(len(one.name) for one in self.comparisons)]) + 2
        alone = {one.of: one for one in self.comparisons if one.over is None}
        rows = [alone.get(name, Comparison(of=name)) for name in self.figures]
        rows += [one for one in self.comparisons if one.over is not None]
        return "\n".join([f"{self.name}, {self.unit}", "", *(f"  {one.name:{width}}{self._line(one)}" for one in rows)])

    def _line(self, comparison: Comparison) -> str:
        found = comparison.spread(self.figures)
        if found is None:
            return f"{'-':>12}   not measured"
        met = {True: "met", False: "NOT MET", None: ""}[comparison.is_met(found)]
        goal = f"goal {comparison.goal}" if comparison.goal else ""
        row = f"(row {comparison.row})" if comparison.row else ""
        return f"{_short(found.median):>12}   {_range(found):24}{goal:19}{met:9}{row}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """What contestants gave, round by round; all of them took part in every one."""

    samples: tuple[Mapping[str, Figures], ...]
    calibration: tuple[float, ...] = ()
    """Milliseconds of a fixed piece of work, once a round: how slow the machine was."""

    def measure(self, name: str, unit: str, *comparisons: Comparison) -> Measure:
        """The figures of one unit, of those who gave one."""
        names = [contestant for contestant, figures in self.samples[0].items() if unit in figures]
        figures = {one: tuple(sample[one][unit] for sample in self.samples) for one in names}
        return Measure(name=name, unit=unit, figures=figures, comparisons=comparisons)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a bench found."""

    measures: tuple[Measure, ...]
    rounds: int
    calibration: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the peers that took part."""
    missing: tuple[str, ...] = ()
    """Peers that could not, and why."""

    @classmethod
    def of(
        cls,
        *parts: tuple[Rounds, Iterable[Measure]],
        notes: Iterable[str] = (),
        versions: Mapping[str, str] | None = None,
        missing: Iterable[str] = (),
    ) -> Report:
        """One report of several sets of rounds."""
        return cls(
            measures=tuple(measure for _, measures in parts for measure in measures),
            rounds=max(len(rounds.samples) for rounds, _ in parts),
            calibration=tuple(value for rounds, _ in parts for value in rounds.calibration),
            notes=tuple(notes),
            versions=versions or {},
            missing=tuple(missing),
        )


def interleaved(name: str, contestants: Mapping[str, Contestant], *, rounds: int, warm: bool = True) -> Rounds:
    """Let all take part in each round, each time beginning with another one; a first round is thrown away if `warm`."""
    order = list(contestants)
    samples, calibration = [], []
    for number in range(0 if warm else 1, rounds + 1):
        progress(f"{name}: round {number} of {rounds}" if number else f"{name}: warming up")
        shift = number % len(order)
        slowness = calibrate()
        found = {one: contestants[one]() for one in order[shift:] + order[:shift]}
        if number:
            samples.append({one: found[one] for one in order})
            calibration.append(slowness)
    return Rounds(samples=tuple(samples), calibration=tuple(calibration))


def calibrate() -> float:
    """Milliseconds that a fixed loop takes now: another machine, or a busy one, shows here first."""
    before = perf_counter()
    total = 0
    for number in range(300_000):
        total += number * number % 7
    assert total
    return (perf_counter() - before) * 1000


def progress(text: str) -> None:
    """Tell whoever watches; stdout is for the figures."""
    print(text, file=sys.stderr, flush=True)


def _spread(spread: Spread) -> dict[str, float]:
    return {"median": spread.median, "low": spread.low, "high": spread.high}


def _range(spread: Spread) -> str:
    return f"[{_short(spread.low)}..{_short(spread.high)}]"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
