"""What a run may still spend: each request is counted before it leaves, and one that is not covered waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import asdict

from agl_core.engine import Endpoint
from agl_core.errors import BudgetSpent, PriceUnknown
from agl_core.events import ModelCall
from agl_core.run import Account, Budget, Price, Prices, Spending

__all__ = ["Ledger", "Trip"]


class Ledger:
    """A budget, and what it went for. All but `serve` and the properties belongs to the gateway's loop."""

    def __init__(
        self, budget: Budget | None = None, *, prices: Prices | None = None, account: Account | None = None
    ) -> None:
        """`account` is what was spent before."""
        self.budget = budget or Budget()
        self.dry: Future[None] = Future()
        """Resolves when a request waits, and none is under way that could leave it something."""
        self.dry.set_running_or_notify_cancel()  # who waits for it may give up, and it stays
        self._prices, self._account = prices or Prices(), account or Account()
        self._is_limited, self._is_closed = bool(self.budget), False
        self._served: dict[str, Price | None] = {}
        self._unpriced: dict[str, None] = {}
        self._out = 0
        """Requests under way, and those that are to leave soon."""
        self._waiting: dict[Trip, asyncio.Future[None]] = {}

    @property
    def spending(self) -> Spending:
        """So far, what is under way among it; of a run without a budget, nobody keeps it here."""
        return self._account.spending

    @property
    def waiting(self) -> frozenset[str]:
        """Whose requests are not covered."""
        return frozenset(trip.who for trip in tuple(self._waiting))

    def refuse_unpriced(self) -> None:
        """Raise for models that cost nobody knows what, where money is limited."""
        if self.budget.usd is not None and self._unpriced:
            model, *others = self._unpriced
            raise PriceUnknown(model, others=others)

    def refusal(self) -> BudgetSpent:
        """That it is spent."""
        return BudgetSpent(asdict(self.spending), limit=self.budget.to_json())

    def serve(self, endpoint: Endpoint) -> None:
        """A model may be asked from now on. One whose weights lie on this machine costs nothing, unless it is said."""
        model = endpoint.model
        price = self._served[model] = self._prices.of(model, endpoint.named)
        if price is None and endpoint.folder is None:
            self._unpriced[model] = None

    def close(self) -> None:
        """Refuse whoever waits, now or later."""
        self._is_closed = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)

    async def take(self, trip: Trip) -> None:
        """Count one more request, when it is covered."""
        if not self._is_limited:
            return
        # Nothing else runs between the look and the count: no two requests share what is left.
        while not self.budget.allows(self._account):
            await self._wait(trip)
        self._account.calls += 1
        self._out += 1

    def give_back(self) -> None:
        """One that was counted did not leave."""
        if self._is_limited:
            self._account.calls -= 1
            self.came_back()

    def came_back(self) -> None:
        """One that left is under way no more."""
        if self._is_limited:
            self._out -= 1
            self._look()

    def pay(self, call: ModelCall) -> None:
        """For the tokens of a call that has come to its end."""
        if self._is_limited:
            # As the table of calls has them: an engine that gives the ids need not count them.
            prompt = call.usage.prompt_tokens or len(call.prompt_token_ids)
            completion = call.usage.completion_tokens or sum(len(choice.token_ids) for choice in call.choices)
            model = call.model if call.model in self._served else call.model.rpartition("@")[0]
            self._account.add(prompt, completion, self._served.get(model))

    async def _wait(self, trip: Trip) -> None:
        if self._is_closed:
            raise self.refusal()
        self._waiting[trip] = waiting = asyncio.get_running_loop().create_future()
        self._look()
        try:
            await waiting
        finally:
            del self._waiting[trip]
            self._look()  # one that left the queue when it was its turn leaves its turn to others

    def _look(self) -> None:
        """After each change: let the first in the queue try again, or see that nobody ever will."""
        if not self._waiting:
            return
        if self.budget.allows(self._account):
            first = next((waiting for waiting in self._waiting.values() if not waiting.done()), None)
            if first is not None:
                first.set_result(None)
        elif not self._out and not self.dry.done():
            self.dry.set_result(None)


class Trip:
    """One call under way: the requests that leave for it, one after the other, each counted."""

    def __init__(self, ledger: Ledger, *, who: str = "", note: Callable[[int], Awaitable[None]] | None = None) -> None:
        """`who` asks. `note` keeps how many requests have left, before one does that is not the first."""
        self.who, self._ledger, self._note = who, ledger, note
        self.requests = 0
        """That have left."""
        self.tries: list[str] = []
        """Why each before the last one failed."""
        self._is_counted = self._has_left = False

    async def hold(self) -> None:
        """Wait until one more may leave, and have it counted."""
        if not self._is_counted:
            await self._ledger.take(self)
            self._is_counted = True

    async def leave(self) -> None:
        """A request leaves now."""
        await self.hold()
        if self.requests and self._note is not None:
            await self._note(self.requests + 1)
        self.requests += 1
        self._has_left = True

    def stayed(self) -> None:
        """It did not: nobody was there to hear a byte of it."""
        self.requests -= 1
        self._has_left = False
        self.end()

    def end(self) -> None:
        """It is under way no more, if it was."""
        if self._is_counted:
            self._is_counted = False
            if self._has_left:
                self._ledger.came_back()
            else:
                self._ledger.give_back()
            self._has_left = False
