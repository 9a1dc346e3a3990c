"""However requests leave, fail, are tried again and come back: a budget is met, and never passed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.engine import Endpoint
from agl_core.errors import BudgetSpent
from agl_core.events import ModelCall, Usage
from agl_core.gateway._ledger import Ledger, Trip
from agl_core.run import Account, Budget, Prices

ANSWERS = st.lists(st.sampled_from(["busy", "down"]), max_size=4).map(lambda before: [*before, "ok"])
"""What becomes of each request of a call: another try follows, but after the last."""
ENDPOINT = Endpoint(url="https://host/v1", model="policy", max_len=0, named="its-name")


@dataclass
class World:
    """Calls under way, each step of which waits until it is its turn."""

    ledger: Ledger
    heard: int = 0
    """Requests that came to the provider."""
    turns: list[asyncio.Future[None]] = field(default_factory=list)

    async def turn(self) -> None:
        """Wait for it."""
        self.turns.append(turn := asyncio.get_running_loop().create_future())
        await turn

    async def call(self, name: str, answers: list[str]) -> None:
        """One call, as the gateway makes it."""
        trip = Trip(self.ledger, who=name)
        await self.turn()
        await trip.hold()
        try:
            for answer in answers:
                await self.turn()
                await trip.leave()
                if answer == "down":
                    await self.turn()
                    trip.stayed()
                    continue
                self.heard += 1
                assert self.ledger.budget.calls is None or self.heard <= self.ledger.budget.calls
                await self.turn()
                if answer == "busy":
                    trip.end()
            self.ledger.pay(ModelCall(model="policy", usage=Usage(prompt_tokens=10, completion_tokens=1)))
        finally:
            trip.end()

    async def run(self, calls: list[list[str]], order: list[int], cancelled: set[int]) -> list[asyncio.Task[None]]:
        """All calls, until nothing moves."""
        tasks = [asyncio.create_task(self.call(f"at-{n}", answers)) for n, answers in enumerate(calls)]
        for number in range(10_000):
            for _ in range(8):  # as many steps as one turn can cause
                await asyncio.sleep(0)
            if number in cancelled:
                tasks[number % len(tasks)].cancel()
                continue
            if not (turns := [turn for turn in self.turns if not turn.done()]):
                return tasks
            self.turns = turns
            turns[order[number % len(order)] % len(turns)].set_result(None)
        raise AssertionError("it never ends")


CALLS = st.lists(ANSWERS, min_size=1, max_size=8)
ORDER = st.lists(st.integers(0, 63), min_size=1, max_size=60)


@given(calls=CALLS, order=ORDER, limit=st.integers(1, 20), before=st.integers(0, 4))
def test_a_provider_hears_as_many_requests_as_the_budget_covers(calls, order, limit, before):
    """Exactly: those that are needed, or all that are left; only then it is dry."""
    account = Account()
    account.calls = min(before, limit)
    left = limit - account.calls
    need = sum(answer != "down" for answers in calls for answer in answers)

    async def story() -> None:
        world = World(Ledger(Budget(calls=limit), account=account))
        tasks = await world.run(calls, order, set())

        assert world.heard == min(left, need)
        assert world.ledger.dry.done() == (need > left)
        assert all(task.done() for task in tasks) == (need <= left)
        assert world.ledger.spending.calls == limit - left + world.heard
        await ended(tasks, world.ledger)

    asyncio.run(story())


@given(calls=CALLS, order=ORDER, limit=st.integers(1, 12), cancelled=st.sets(st.integers(0, 40), max_size=6))
def test_who_gives_up_takes_nothing_along(calls, order, limit, cancelled):
    """What it was counted for and did not send is there for others: in the end all are through, or it is dry.

    One that gives up while it is connecting may have been heard, and counts.
    """

    async def story() -> None:
        world = World(Ledger(Budget(calls=limit)))
        tasks = await world.run(calls, order, cancelled)

        assert all(task.done() for task in tasks) or world.ledger.dry.done()
        assert world.heard <= world.ledger.spending.calls <= min(limit, world.heard + len(cancelled))
        await ended(tasks, world.ledger)

    asyncio.run(story())


@given(calls=CALLS, order=ORDER, limit=st.integers(1, 60))
def test_no_request_leaves_once_the_tokens_are_spent(calls, order, limit):
    """Those under way end above it: what a call costs is known when it has come back."""
    prices = Prices({"its-name": (1e6, 1e6)})

    async def story(budget: Budget) -> tuple[int, int]:
        world = World(Ledger(budget, prices=prices))
        world.ledger.serve(ENDPOINT)
        tasks = await world.run(calls, order, set())
        spending = world.ledger.spending

        assert spending.usd == pytest.approx(spending.tokens)
        assert all(task.done() for task in tasks) or (spending.tokens >= limit and world.ledger.dry.done())
        assert spending.tokens < limit + 11 * len(calls)
        await ended(tasks, world.ledger)
        return spending.tokens, world.heard

    assert asyncio.run(story(Budget(tokens=limit))) == asyncio.run(story(Budget(usd=limit)))


async def ended(tasks: list[asyncio.Task[None]], ledger: Ledger) -> None:
    """Nobody waits when the gateway has closed it."""
    ledger.close()
    for task in tasks:
        with suppress(BudgetSpent, asyncio.CancelledError):
            await task
    assert not ledger.waiting
