"""A model card, made from the log: what was trained, how, on what, and what it came to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agl_core import __version__
from agl_core.cli._resources_earned import earned_by_policy
from agl_core.cli._words import number, size

if TYPE_CHECKING:
    from agl_core.cli._resources_weights import Weights
    from agl_core.events import RunStarted
    from agl_core.log import SqliteLog

__all__ = ["card"]


def card(log: SqliteLog, weights: Weights) -> str:
    """Markdown, under the fields that model hubs read."""
    from agl_core.cli._stories import told
    from agl_core.events import RunStarted

    run = told(log, weights.run_id)
    record = log.get(weights.run_id)
    assert record is not None
    assert isinstance(record.event, RunStarted)
    scores = [one.to_json() for one in earned_by_policy(log, weights.run_id, weights.policy, weights.version)]
    parts = [
        _fields(run, weights),
        f"# {weights.name} of {weights.run_id}",
        _what(run, weights),
        _section("Training", _table([fact for fact in _facts(log, run, record.event, weights) if fact[1] is not None])),
        _section("Tasks", _tasks(record.event)),
        _section("Before and after", _examination(run["result"] or {}, weights)),
        _section("What it earned", _earned(scores)),
        _section("Use", _use(weights)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _fields(run: Mapping[str, Any], weights: Weights) -> str:
    """YAML; a base that is a folder of this machine is no model of a hub."""
    lines = [f"library_name: {'peft' if weights.base else 'transformers'}", "pipeline_tag: text-generation"]
    base = weights.base or _engine_path(run, weights)
    if base and not base.startswith(("/", ".", "~")) and "\\" not in base:
        lines.append(f"base_model: {json.dumps(base)}")
    return "\n".join(("---", *lines, f"tags: {json.dumps(['agl', run['algorithm']])}", "---"))


def _what(run: Mapping[str, Any], weights: Weights) -> str:
    kind = f"Adapters of `{weights.base}`" if weights.base else "Weights"
    made = f"Made from the log of the run by agl-core {__version__}; every number here can be read there."
    return f"{kind}, trained by `{run['algorithm']}`. {made}"


def _facts(log: SqliteLog, run: Mapping[str, Any], started: RunStarted, weights: Weights) -> Iterator[tuple[str, Any]]:
    algorithm = started.algorithm
    yield "run", f"`{weights.run_id}`, {run['status']}"
    yield "started, ended", f"{run['started_at']}, {run['ended_at'] or 'it still runs'}"
    yield "algorithm", f"`{algorithm.name}` {algorithm.version or ''}".strip()
    yield from ((f"&nbsp; {name}", f"`{json.dumps(value)}`") for name, value in sorted(algorithm.config.items()))
    yield "agent", f"`{started.agent.name}`"
    yield "began with", f"`{started.models.get(weights.policy, 'unknown')}`"
    yield "seed", f"{started.seed}{', deterministic' if started.deterministic else ''}"
    yield "checkpoint", f"`{weights.digest}`, {size(weights.size)}"
    yield "versions", ", ".join(_versions(log, weights.run_id)) or None


def _versions(log: SqliteLog, run_id: str) -> Iterator[str]:
    """Of what took part, as the run wrote them down when it began."""
    from agl_core.events import PluginLoaded

    seen = {
        record.event.name: record.event.version
        for record in log.read(stream="log", types=[PluginLoaded.type])
        if isinstance(record.event, PluginLoaded) and record.correlation_id == run_id
    }
    return (f"{name} {version}" for name, version in sorted(seen.items()))


def _tasks(started: RunStarted) -> str:
    from agl_core.ids import canonical, content_id

    splits = [(name, getattr(started, name)) for name in ("train", "val", "test")]
    rows = [(name, len(tasks), f"`{content_id(canonical(list(tasks)))}`") for name, tasks in splits if tasks]
    return _table(rows, head=("split", "tasks", "hash of them")) if rows else ""


def _examination(result: Mapping[str, Any], weights: Weights) -> str:
    sides = [
        (title, result[name]["mean"], _interval(result[name].get("ci95")), result[name]["n"])
        for title, name in (("before", "reward_before"), ("after", "reward_after"), ("difference", "difference"))
        if isinstance(result.get(name), dict)
    ]
    if not sides:
        return ""
    rows = [(title, number(mean), interval, n) for title, mean, interval, n in sides]
    table = _table(rows, head=("sealed test split", "mean reward", "95 %", "tasks"))
    this = "which this is" if weights.is_last else "which this is not"
    return f"The first and the last policy of the run, {this}, on the same tasks, seen once:\n\n{table}"


def _earned(scores: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        (one["mode"], number(one["mean"]), _interval(one["ci95"]), one["tasks"], one["rollouts"], one["masked"])
        for one in scores
    ]
    if not rows:
        return ""
    table = _table(rows, head=("split", "mean reward", "95 %", "tasks", "rollouts", "masked"))
    return f"Rollouts that this version alone answered; those that are masked are in no mean:\n\n{table}"


def _use(weights: Weights) -> str:
    load = (
        (
            "from peft import PeftModel",
            "from transformers import AutoModelForCausalLM",
            "",
            f"model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained({weights.base!r}), FOLDER)",
        )
        if weights.base
        else (
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            "model, words = AutoModelForCausalLM.from_pretrained(FOLDER), AutoTokenizer.from_pretrained(FOLDER)",
        )
    )
    return "\n".join(("```python", *load, "```"))


def _engine_path(run: Mapping[str, Any], weights: Weights) -> str | None:
    url: str | None = run["models"].get(weights.policy)
    scheme, colon, path = (url or "").partition(":")
    return path.partition("?")[0] if colon and scheme == "transformers" else None


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}" if text else ""


def _table(rows: Any, *, head: Sequence[str] = ("", "")) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")


def _interval(ci95: Sequence[float] | None) -> str:
    return f"{number(ci95[0])} to {number(ci95[1])}" if ci95 else ""
