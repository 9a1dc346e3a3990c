"""Numbers and times as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

__all__ = ["HEADLINES", "curve", "duration", "here", "iso", "number", "size"]

HEADLINES = ("reward/mean", "train/reward", "val/reward")
"""Metrics that say how a run goes: the first of them that it logged heads its line, and its curve is drawn."""
_BARS = "▁▂▃▄▅▆▇█"
_SECOND = 1_000_000_000


def iso(nanoseconds: int | None) -> str | None:
    """A point in time for programs: ISO 8601, UTC."""
    if nanoseconds is None:
        return None
    whole = datetime.fromtimestamp(nanoseconds // _SECOND, UTC).replace(microsecond=nanoseconds % _SECOND // 1000)
    return whole.isoformat(timespec="microseconds").replace("+00:00", "Z")


def here(moment: str | None) -> str:
    """The same point in time on the reader's own clock."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else "-"


def duration(seconds: float | None) -> str:
    """How long: `0.4 s`, `12 s`, `3 m 05 s`, `2 h 10 m`."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} m"


def number(value: float | None) -> str:
    """Four significant digits; whole numbers whole."""
    if value is None:
        return "-"
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.4g}"


def size(count: int) -> str:
    """Bytes: `812 B`, `1.4 MB`."""
    amount, units = float(count), ("B", "kB", "MB", "GB")
    for unit in units:
        if amount < 1000 or unit == units[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError(count)


def curve(values: Sequence[float], *, width: int = 40) -> str:
    """A line drawn in blocks; more values than `width` are averaged, side by side."""
    if not values:
        return ""
    parts = min(width, len(values))
    edges = [round(part * len(values) / parts) for part in range(parts + 1)]
    means = [sum(values[start:end]) / (end - start) for start, end in pairwise(edges)]
    low, high = min(means), max(means)
    if high == low:
        return _BARS[3] * parts
    return "".join(_BARS[round((mean - low) / (high - low) * (len(_BARS) - 1))] for mean in means)
