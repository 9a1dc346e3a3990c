"""Agent Lightning's own benchmark of its store, for any store: an algorithm that hands tasks out, runners, one agent.

Standard library only: ours and the peer's run this very code, each over its own store.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

__all__ = ["Board", "Scenario", "algorithm", "check", "run", "runners", "steps"]

POLL = 0.1
"""Seconds between the algorithm's looks at how far it is; upstream's benchmark looks every five."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """How much of what."""

    tasks: int
    """So many rollouts are finished, then it is over."""
    batch: int
    """So many are enqueued together."""
    remaining: int = 0
    """The next batch comes when so few are unfinished; 0 waits for all of a batch."""
    runners: int
    rounds: int
    """The agent does up to so many."""
    sleep: float
    """It sleeps up to so many seconds in a span."""


class Board(Protocol):
    """A store, as the scenario needs it. A claim is the store's own and only handed back to it."""

    async def enqueue(self, tasks: list[int]) -> list[str]:
        """Hand them out; their rollouts' ids."""
        ...

    async def claim(self, worker: str) -> tuple[int, Any] | None:
        """The next task and the claim on it, or nothing after a while."""
        ...

    async def span(self, claim: Any, number: int, attributes: dict[str, Any]) -> None:
        """Keep a span of the attempt."""
        ...

    async def reward(self, claim: Any, number: int, value: float) -> None:
        """Keep a reward of the attempt."""
        ...

    async def finish(self, claim: Any) -> None:
        """It went well."""
        ...

    async def finished(self, ids: list[str]) -> set[str]:
        """Which of them are."""
        ...

    async def trace(self, rollout_id: str) -> tuple[list[dict[str, Any]], list[float]]:
        """Attributes of its spans, and its rewards, both in order."""
        ...


async def run(board: Board, scenario: Scenario) -> dict[str, float]:
    """Algorithm and runners in one process."""
    working = asyncio.create_task(runners(board, scenario))
    found = await algorithm(board, scenario)
    return {**found, "spans/s": await working / found["seconds"]}


async def algorithm(board: Board, scenario: Scenario) -> dict[str, float]:
    """Hand tasks out until enough are finished; then, untimed, look at each."""
    tasks = iter(range(10**9))
    unfinished: list[str] = []
    done: list[str] = []
    before = perf_counter()
    while len(done) < scenario.tasks:
        if len(unfinished) <= scenario.remaining:
            unfinished += await board.enqueue([next(tasks) for _ in range(scenario.batch)])
        await asyncio.sleep(POLL)
        finished = await board.finished(unfinished)
        done += finished
        unfinished = [rollout_id for rollout_id in unfinished if rollout_id not in finished]
    seconds = perf_counter() - before
    await check(board, done)
    return {"seconds": seconds, "rollouts/s": len(done) / seconds}


async def runners(board: Board, scenario: Scenario) -> int:
    """Work tasks off, as many at a time as there are runners; how many spans and rewards that made."""
    left = iter(range(scenario.tasks))
    made = await asyncio.gather(*(_runner(board, scenario, f"worker-{one}", left) for one in range(scenario.runners)))
    return sum(made)


async def _runner(board: Board, scenario: Scenario, worker: str, left: Iterator[int]) -> int:
    made = 0
    for _ in left:
        while (claimed := await board.claim(worker)) is None:
            pass
        task, claim = claimed
        for number, step in enumerate(steps(task, rounds=scenario.rounds, sleep=scenario.sleep), 1):
            await asyncio.sleep(step.seconds)
            if step.attributes is None:
                await board.reward(claim, number, step.value)
            else:
                await board.span(claim, number, step.attributes)
            made += 1
        await board.finish(claim)
    return made


async def check(board: Board, ids: list[str]) -> None:
    """Each has the span that names its task, and a last reward between 1 and 2."""
    for rollout_id in ids:
        spans, rewards = await board.trace(rollout_id)
        if not any("task" in attributes for attributes in spans) or not 1 <= rewards[-1] <= 2:
            raise AssertionError(f"{rollout_id} is finished, and not all of it is there")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing the agent of Agent Lightning's own benchmark does."""

    seconds: float = 0.0
    """How long it sleeps first, as a model would keep it waiting."""
    attributes: dict[str, Any] | None = None
    """Of a span; None for a reward."""
    value: float = 0.0


def steps(task: int, *, rounds: int, sleep: float) -> Iterator[Step]:
    """What the agent does with a task: the same for whoever runs it.

    Up to `rounds` rounds of three spans, two of which sleep up to `sleep` seconds; a reward after every other round, by
    chance; at the end a span that names the task, and a reward between 1 and 2.
    """
    chance = random.Random(task)
    for _ in range(chance.randint(1, rounds)):
        for seconds in (chance.uniform(0, sleep), chance.uniform(0, sleep), 0.0):
            yield Step(seconds=seconds, attributes=_attributes(chance, depth=3))
        if chance.random() < 0.5:
            yield Step(value=chance.random())
    yield Step(seconds=chance.uniform(0, sleep), attributes={"task": task})
    yield Step(value=1 + chance.random())


def _attributes(chance: random.Random, *, depth: int) -> dict[str, Any]:
    """Random names to random text, up to six and three deep, flattened with dots as spans want it."""
    found: dict[str, Any] = {}
    for number in range(chance.randint(1, 6)):
        name = f"field_{number}"
        if depth > 1 and chance.random() < 0.3:
            found.update({f"{name}.{inner}": text for inner, text in _attributes(chance, depth=depth - 1).items()})
        else:
            found[name] = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz ", k=chance.randint(5, 300)))
    return found
