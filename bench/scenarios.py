"""Agent Lightning's own store benchmark, scaled to two cores: the same algorithm, runners and agent over both stores.

Minimal, medium, long queue and heavy trace of its repository, with fewer tasks and fewer runners (each measure says how
many). The agent makes spans with random attributes and sleeps in most of them, as if a model kept it waiting; rewards
come by chance, and one at the end. Every finished rollout is looked at afterwards: its task is named, its reward is
there. Runners are coroutines, without either side's tracer.

In one process, Agent Lightning's store is in memory and ours on disk. In two, algorithm and store are in the first and
runners in the second: its runners ask over HTTP, ours open the same file. Its runners and its algorithm look for news
every 0.05 and 0.1 s, instead of every five; ours wait for claims by push. No scenario can be faster than its sleeps.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

from bench._field import Field, Process, answers
from bench._harness import Comparison, Contestant, Figures, Measure, Options, Report, Rounds, interleaved
from bench._peers import AGENT_LIGHTNING
from bench._scenario import Scenario

_ONE, _TWO = "ours, one process", "ours, two processes"
_RAM, _HTTP = "agentlightning, RAM", "agentlightning, HTTP"
SCENARIOS = {
    "minimal": Scenario(tasks=128, batch=64, runners=32, rounds=6, sleep=0.5),
    "medium": Scenario(tasks=200, batch=100, runners=100, rounds=10, sleep=0.1),
    "long queue": Scenario(tasks=300, batch=1024, remaining=4096, runners=64, rounds=4, sleep=0.1),
    "heavy trace": Scenario(tasks=100, batch=64, remaining=32, runners=64, rounds=20, sleep=0.25),
}
UPSTREAM = {
    "minimal": Scenario(tasks=4096, batch=256, runners=32, rounds=6, sleep=0.5),
    "medium": Scenario(tasks=10_000, batch=1000, runners=100, rounds=10, sleep=0.1),
    "long queue": Scenario(tasks=50_000, batch=1024, remaining=4096, runners=256, rounds=4, sleep=0.1),
    "heavy trace": Scenario(tasks=10_000, batch=1024, remaining=256, runners=512, rounds=20, sleep=1.0),
}
QUICK = Scenario(tasks=16, batch=16, remaining=8, runners=8, rounds=4, sleep=0.05)


def run(options: Options) -> Report:
    """Part 4.2 of what is known about Agent Lightning; no row of the goals asks for it."""
    with Field(options) as field:
        contest = _contest(field)
        parts: list[tuple[Rounds, list[Measure]]] = []
        notes = []
        for name, full in SCENARIOS.items():
            scenario = QUICK if options.quick else full
            notes.append(f"{name}: {_scale(scenario, UPSTREAM[name])}")
            contestants: dict[str, Contestant] = {who: partial(work, asdict(scenario)) for who, work in contest.items()}
            rounds = interleaved(f"scenarios, {name}", contestants, rounds=options.rounds_or(3), warm=False)
            goals = (Comparison(of=_ONE, over=_RAM), Comparison(of=_TWO, over=_HTTP))
            parts.append((rounds, [rounds.measure(name, unit, *goals) for unit in ("rollouts/s", "spans/s")]))
    return field.report(*parts, notes=notes)


def _scale(here: Scenario, there: Scenario) -> str:
    """What is scaled, and what no store can exceed."""
    names = [one.name for one in fields(Scenario) if getattr(here, one.name) != getattr(there, one.name)]
    scaled = ", ".join(f"{getattr(there, name):,} -> {getattr(here, name):,} {name}" for name in names)
    rounds = (1 + here.rounds) / 2
    bound = here.runners / (here.sleep * (rounds + 0.5))
    return f"{scaled}; {here.runners} runners and their sleeps allow {bound:.0f} rollouts/s"


def _contest(field: Field) -> dict[str, Callable[[dict[str, Any]], Figures]]:
    ours, runners = field.start("scenario"), field.start("scenario")
    contest: dict[str, Callable[[dict[str, Any]], Figures]] = {
        _ONE: lambda spec: ours.ask("scenario", spec=spec),
        _TWO: lambda spec: _over_a_file(ours, runners, spec),
    }
    server, clients = field.peer(AGENT_LIGHTNING), field.peer(AGENT_LIGHTNING)
    if server and clients:
        contest[_RAM] = lambda spec: clients.ask("scenario", spec=spec)
        contest[_HTTP] = lambda spec: _over_http(server, clients, spec)
    return contest


def _over_http(server: Process, clients: Process, spec: dict[str, Any]) -> Figures:
    url = server.ask("serve")
    return _together(server, clients, {"spec": spec}, {"spec": spec, "url": url})


def _over_a_file(algorithm: Process, runners: Process, spec: dict[str, Any]) -> Figures:
    with tempfile.TemporaryDirectory(prefix="agl-bench-") as folder:
        both = {"spec": spec, "path": str(Path(folder, "log.db"))}
        algorithm.ask("make", path=both["path"])
        return _together(algorithm, runners, both, both)


def _together(algorithm: Process, runners: Process, first: dict[str, Any], second: dict[str, Any]) -> Figures:
    runners.send("runners", **second)
    algorithm.send("algorithm", **first)
    found, made = answers(algorithm, runners)
    return {**found, "spans/s": made / found["seconds"]}
