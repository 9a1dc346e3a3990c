"""What a run may cost, and what it costs: calls, tokens, money."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agl_core.errors import BadValue

__all__ = ["Account", "Budget", "Price", "Prices", "Spending"]

MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Of all model calls of a run that went through its gateway: its agents', its judges', its algorithm's."""

    calls: int = 0
    """Requests that left for an endpoint: the gateway's own tries at a busy one are each a request."""
    tokens: int = 0
    """Of prompts and answers, as the providers count them."""
    usd: float = 0.0
    """As far as prices are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that they may come to; None is any amount."""

    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None

    def __post_init__(self) -> None:
        for name, kind in (("calls", int), ("tokens", int), ("usd", int | float)):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value < math.inf:
                what = "a number" if name == "usd" else "a whole number"
                raise BadValue(f"budget.{name}", value, why=f"it is {what} above 0; leave it out for any amount")

    def __bool__(self) -> bool:
        return any(getattr(self, name) is not None for name in _LIMITS)

    @classmethod
    def of(cls, given: Budget | Mapping[str, Any] | None) -> Budget:
        """As it is written: `{"calls": 500, "usd": 2.5}`."""
        if given is None:
            return cls()
        if isinstance(given, Budget):
            return given
        if given.keys() - set(_LIMITS):
            raise BadValue("budget", given, why=f'it limits {", ".join(_LIMITS)}, such as {{"calls": 500}}')
        # A log has them all as floats.
        whole = {name: int(most) for name, most in given.items() if isinstance(most, float) and most.is_integer()}
        return cls(**{**given, **whole})

    def covers(self, spent: Spending) -> bool:
        """Whether so much is within it."""
        most = ((self.calls, spent.calls), (self.tokens, spent.tokens), (self.usd, spent.usd))
        return all(limit is None or cost <= limit for limit, cost in most)

    def allows(self, spent: Account) -> bool:
        """Whether one more request may leave: how many tokens it will cost is known when it has come back."""
        # Asked before each request: what is not limited is not added up.
        return (
            (self.calls is None or spent.calls < self.calls)
            and (self.tokens is None or spent.tokens < self.tokens)
            and (self.usd is None or spent.usd < self.usd)
        )

    def to_json(self) -> dict[str, float]:
        """What is limited, and to how much."""
        return {name: limit for name in _LIMITS if (limit := getattr(self, name)) is not None}


_LIMITS = ("calls", "tokens", "usd")


@dataclass(frozen=True, slots=True)
class Price:
    """Of a model, in USD for a million tokens."""

    prompt: float
    completion: float

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What so many cost, in USD."""
        return (self.prompt * prompt_tokens + self.completion * completion_tokens) / MILLION


class Prices:
    """Of models, by their names in the run, or where they are served."""

    def __init__(self, given: Mapping[str, Any] | None = None) -> None:
        """`{"critic": (0.15, 0.60)}`: USD for a million tokens of prompts, and of answers."""
        self._given = {name: _price(name, price) for name, price in (given or {}).items()}

    def __bool__(self) -> bool:
        return bool(self._given)

    def of(self, model: str, named: str = "") -> Price | None:
        """Of a model by the name it is asked for, `policy@3` among them; else by that which it has where it is."""
        names = (model, model.rpartition("@")[0], named)
        return next((self._given[name] for name in names if name in self._given), None)

    def to_json(self) -> dict[str, tuple[float, float]]:
        """As they are written."""
        return {name: (price.prompt, price.completion) for name, price in self._given.items()}


def _price(name: str, given: Any) -> Price:
    pair = (given.prompt, given.completion) if isinstance(given, Price) else given
    if not (
        isinstance(pair, tuple | list)
        and len(pair) == 2
        and all(isinstance(usd, int | float) and not isinstance(usd, bool) and 0 <= usd < math.inf for usd in pair)
    ):
        why = "it is two numbers, USD for a million tokens of prompts and of answers, such as (0.15, 0.60)"
        raise BadValue(f"prices[{name!r}]", given, why=why)
    return Price(float(pair[0]), float(pair[1]))


class Account:
    """Adds up what is spent. Whoever adds the same up, in whichever order, comes to the same."""

    def __init__(self) -> None:
        self.calls = self.tokens = 0
        self._bought: defaultdict[Price, list[int]] = defaultdict(lambda: [0, 0])
        """Tokens of prompts, and of answers."""

    def add(self, prompt_tokens: int, completion_tokens: int, price: Price | None) -> None:
        """Tokens of a model."""
        self.tokens += prompt_tokens + completion_tokens
        if price is not None:
            bought = self._bought[price]
            bought[0] += prompt_tokens
            bought[1] += completion_tokens

    @property
    def usd(self) -> float:
        """As far as prices are known."""
        return math.fsum(price.of(*tokens) for price, tokens in self._bought.items())

    @property
    def spending(self) -> Spending:
        """All of it."""
        return Spending(calls=self.calls, tokens=self.tokens, usd=self.usd)
