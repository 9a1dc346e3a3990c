"""What is written: the same content for every contestant, made from the same seeds. Standard library only.

A call is what a gateway records of one turn: 256 prompt ids, 64 sampled ids with their log-probabilities, a system
message that all calls share and a question of its own; about 3.3 KB of JSON. A span says the same in 25 attributes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Call", "Step", "calls", "steps"]

PROMPT, SAMPLED = 256, 64
_IDS = range(32_000)
SYSTEM = "You solve word problems. Think step by step, then answer with one number on a line of its own. " * 2
_WORDS = ("tray", "roll", "baker", "apple", "train", "station", "hour", "mile", "price", "basket", "seven", "how many")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One model call, in plain values."""

    number: int
    prompt_ids: list[int]
    sampled_ids: list[int]
    logprobs: list[float]
    system: str
    question: str
    answer: str

    def attributes(self) -> dict[str, Any]:
        """The call as a tracer writes it down: 25 attributes."""
        return {
            "gen_ai.system": "openai",
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "policy",
            "gen_ai.request.temperature": 1.0,
            "gen_ai.request.top_p": 1.0,
            "gen_ai.request.max_tokens": 256,
            "gen_ai.request.streaming": False,
            "gen_ai.response.id": f"chatcmpl-{self.number}",
            "gen_ai.response.model": "policy",
            "gen_ai.response.finish_reason": "stop",
            "gen_ai.usage.input_tokens": PROMPT,
            "gen_ai.usage.output_tokens": SAMPLED,
            "gen_ai.usage.total_tokens": PROMPT + SAMPLED,
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": self.system,
            "gen_ai.prompt.1.role": "user",
            "gen_ai.prompt.1.content": self.question,
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": self.answer,
            "gen_ai.completion.0.finish_reason": "stop",
            "prompt_token_ids": self.prompt_ids,
            "response_token_ids": self.sampled_ids,
            "response_logprobs": self.logprobs,
            "http.status_code": 200,
            "server.address": "127.0.0.1",
        }


def calls(count: int, *, seed: int = 0) -> Iterator[Call]:
    """So many calls, all different."""
    chance = random.Random(seed)
    for number in range(count):
        yield Call(
            number=number,
            prompt_ids=chance.choices(_IDS, k=PROMPT),
            sampled_ids=chance.choices(_IDS, k=SAMPLED),
            logprobs=[round(-chance.expovariate(2.0), 4) for _ in range(SAMPLED)],
            system=SYSTEM,
            question=f"Question {number}: " + " ".join(chance.choices(_WORDS, k=12)),
            answer=" ".join(chance.choices(_WORDS, k=12)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing the agent of Agent Lightning's own benchmark does."""

    kind: str
    """`span`, or `reward`."""
    seconds: float = 0.0
    """How long it sleeps first, as a model would keep it waiting."""
    attributes: dict[str, Any] | None = None
    value: float = 0.0


def steps(task: int, *, rounds: int, sleep: float) -> Iterator[Step]:
    """What the agent does with a task: the same for whoever runs it.

    Up to `rounds` rounds of three spans, two of which sleep up to `sleep` seconds; a reward after every other round, by
    chance; at the end a span that names the task, and a reward between 1 and 2.
    """
    chance = random.Random(task)
    for _ in range(chance.randint(1, rounds)):
        for seconds in (chance.uniform(0, sleep), chance.uniform(0, sleep), 0.0):
            yield Step(kind="span", seconds=seconds, attributes=_attributes(chance, depth=3))
        if chance.random() < 0.5:
            yield Step(kind="reward", value=chance.random())
    yield Step(kind="span", seconds=chance.uniform(0, sleep), attributes={"task": task})
    yield Step(kind="reward", value=1 + chance.random())


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
