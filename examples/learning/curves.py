"""Figures as a drawing: an SVG that is read in light and in dark, made of nothing but text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

__all__ = ["drawn"]

_WIDTH, _TOP, _HEIGHT, _LEFT, _RIGHT = 720, 46, 240, 56, 24
_LINE = 20
_X_AXIS = {"grpo": "step", "sft": "round", "apo": "round"}
_NAMES = {"reward/mean": "training rollouts, sampled", "val/reward": "validation tasks, greedy"}
_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #424a53 }
.title { font-weight: 600; font-size: 15px }
.small { font-size: 12px }
.grid { stroke: #8c959f; stroke-opacity: .35 }
.curve { fill: none; stroke-width: 2 }
.key { stroke: #6e7781 }
.key-mark { fill: #6e7781 }
.sampled { stroke-opacity: .45; stroke-dasharray: 5 4 }
.seed-0 { stroke: #0969da; } .seed-1 { stroke: #bc4c00 } .seed-2 { stroke: #1a7f37 }
.dot-0 { fill: #0969da } .dot-1 { fill: #bc4c00 } .dot-2 { fill: #1a7f37 }
@media (prefers-color-scheme: dark) { text { fill: #c9d1d9 }
  .seed-0 { stroke: #58a6ff } .seed-1 { stroke: #f0883e } .seed-2 { stroke: #56d364 }
  .dot-0 { fill: #58a6ff } .dot-1 { fill: #f0883e } .dot-2 { fill: #56d364 } }"""


def drawn(figures: Mapping[str, Any]) -> str:
    """The curves of all runs, and below them what each came to on the sealed test split; the same text each time."""
    runs = figures["runs"]
    height = _TOP + _HEIGHT + 48 + _LINE * (len(runs) + 1)
    name = figures["proof"]
    title = escape(figures["title"])
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{title}">',
        f"<title>{title}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="{_LEFT}" y="18">{title}</text>',
        *_axes(_last_step(figures), _X_AXIS[name]),
        *_legend(figures),
    ]
    for place, run in enumerate(runs):
        lines += _curves(run, place, _last_step(figures))
        lines.append(_told(run, place))
    return "\n".join([*lines, "</svg>"]) + "\n"


def _last_step(figures: Mapping[str, Any]) -> int:
    return max(int(point["step"]) for run in figures["runs"] for point in run["metrics"])


def _axes(last: int, unit: str) -> Iterator[str]:
    for tenth in range(0, 11, 2):
        y = _y(tenth / 10)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text class="small" x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{tenth / 10:.1f}</text>'
    for step in range(0, last + 1, max(1, last // 8)):
        yield (f'<text class="small" x="{_x(step, last)}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">{step}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    yield f'<text class="small" x="{middle:g}" y="{_TOP + _HEIGHT + 36}" text-anchor="middle">{unit}</text>'
    across = _TOP + _HEIGHT / 2
    upright = f"translate(16 {across:g}) rotate(-90)"
    yield f'<text class="small" transform="{upright}" text-anchor="middle">mean reward</text>'


def _legend(figures: Mapping[str, Any]) -> Iterator[str]:
    present = [name for name in _NAMES if any(point["name"] == name for point in figures["runs"][0]["metrics"])]
    for place, name in enumerate(present):
        x = _LEFT + 220 * place
        sampled = " sampled" if name == "reward/mean" else ""
        yield f'<path class="curve key{sampled}" d="M{x} 34h28"/>'
        yield f'<text class="small" x="{x + 36}" y="38">{_NAMES[name]}</text>'
    x = _LEFT + 220 * len(present)
    yield f'<rect class="key-mark" x="{x}" y="29" width="10" height="10"/>'
    yield f'<text class="small" x="{x + 16}" y="38">sealed test split, before and after</text>'


def _curves(run: Mapping[str, Any], place: int, last: int) -> Iterator[str]:
    for name in _NAMES:
        points = [(point["step"], point["value"]) for point in run["metrics"] if point["name"] == name]
        if name == "val/reward" and "val" in run["result"]:
            points.insert(0, (0, run["result"]["val"]["base"]))  # where the search began
        if not points:
            continue
        path = " ".join(f"{_x(step, last)},{_y(value)}" for step, value in points)
        sampled = " sampled" if name == "reward/mean" else ""
        yield f'<polyline class="curve{sampled} seed-{place}" points="{path}"/>'
        if not sampled:
            yield from (
                f'<circle class="dot-{place}" cx="{_x(step, last)}" cy="{_y(value)}" r="3.5"/>'
                for step, value in points
            )
    for step, sealed in ((0, "reward_before"), (last, "reward_after")):
        x, y = _x(step, last) - 5, _y(run["result"][sealed]["mean"]) - 5
        yield f'<rect class="dot-{place}" x="{x:g}" y="{y:g}" width="10" height="10"/>'


def _told(run: Mapping[str, Any], place: int) -> str:
    """What the sealed split says of a run, in a line of text."""
    result = run["result"]
    y = _TOP + _HEIGHT + 40 + _LINE * (place + 1)
    before, after, gain = (result[key] for key in ("reward_before", "reward_after", "difference"))
    told = (
        f"seed {run['seed']}: test {before['mean']:.2f} ({_interval(before)}) to {after['mean']:.2f} "
        f"({_interval(after)}); gain {gain['mean']:+.2f} ({_interval(gain)}), {gain['n']} tasks"
    )
    return (
        f'<circle class="dot-{place}" cx="{_LEFT + 5}" cy="{y - 4}" r="5"/><text x="{_LEFT + 18}" y="{y}">{told}</text>'
    )


def _interval(estimate: Mapping[str, Any]) -> str:
    low, high = estimate["ci95"]
    return f"{low:.2f} to {high:.2f}"


def _x(step: int, last: int) -> float:
    return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * step / last, 1)


def _y(reward: float) -> float:
    return round(_TOP + _HEIGHT * (1 - reward), 1)
