"""What is written: the same content for every contestant, made from the same seeds. Standard library only.

A call is what a gateway records of one turn: 256 prompt ids, 64 sampled ids with their log-probabilities, a system
message that all calls share and a question of its own; about 3.3 KB of JSON. A span says the same in 25 attributes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Call", "calls"]

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
