"""Supervised warm start: a small model learns to speak like the transcripts of the agent, mistakes included."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agl_demo.calculator.tasks import mistaken, problems

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Recipe", "demonstrations", "warm_start"]

Message = dict[str, Any]
Example = tuple[list[int], list[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the demonstrations are made and how long the model looks at them."""

    demonstrations: int = 16_000
    mistakes: float = 0.6
    """Share of demonstrations in which the demonstrator picks a wrong operator, as people in a hurry do."""
    steps: int = 800
    batch: int = 32
    matrix_learning_rate: float = 0.02
    """For the weights inside the layers, under Muon, which learns to copy digits in a third of AdamW's steps."""
    learning_rate: float = 3e-3
    """For embeddings and norms, under AdamW."""
    warm_up: int = 30
    """Steps until the learning rates are at their height; from there they fall along a cosine."""


def demonstrations(seed: int, recipe: Recipe = Recipe()) -> Iterator[list[Message]]:
    """Transcripts of the agent on problems of the training split: question, tool call, tool result, answer.

    They are noisy on purpose: in `recipe.mistakes` of them the demonstrator takes the question wrongly, types a wrong
    operator, and answers with what the calculator then says. So a model that imitates them well is wrong as often as
    they are, and what is right is left for the reward to teach. No number set of the validation or test split occurs.
    """
    rng = random.Random(f"{seed}/demonstrations")
    for problem in islice(problems(seed, "train"), recipe.demonstrations):
        typed = mistaken(problem, rng) if rng.random() < recipe.mistakes else problem
        arguments = json.dumps({"expression": typed.expression})
        call = {"id": "call-1", "type": "function", "function": {"name": "calculator", "arguments": arguments}}
        yield [
            {"role": "user", "content": problem.question},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call-1", "content": str(typed.answer)},
            {"role": "assistant", "content": str(typed.answer)},
        ]


def warm_start(
    folder_in: Path,
    folder_out: Path,
    *,
    seed: int,
    progress: Callable[[int, float], None] | None = None,
    **settings: Any,
) -> dict[str, float]:
    """Train the model of `folder_in` on `demonstrations` and write it to `folder_out`.

    Only what the assistant says is learned, its end-of-turn token included. The same seed and number of torch threads
    give the same weights. `settings` are fields of `Recipe`; `progress` hears of every step and its loss. Returns the
    loss of the first and of the last tenth of the steps, the tokens learned from and the seconds it took.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    began = time.monotonic()
    recipe = Recipe(**settings)
    words: Any = AutoTokenizer.from_pretrained(folder_in)
    model = AutoModelForCausalLM.from_pretrained(folder_in, dtype=torch.float32).train()
    examples = _examples(words, list(demonstrations(seed, recipe)))
    batches = _batches(examples, size=recipe.batch, rng=random.Random(f"{seed}/batches"))

    inner = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    outer = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimisers = [
        torch.optim.Muon(inner, lr=recipe.matrix_learning_rate, weight_decay=0.0),
        torch.optim.AdamW(outer, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    schedules = [torch.optim.lr_scheduler.LambdaLR(each, lambda step: _height(step, recipe)) for each in optimisers]
    losses: list[float] = []
    tokens = 0
    for step, batch in enumerate(islice(batches, recipe.steps), start=1):
        ids, said = _padded(batch, words.pad_token_id)
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits[said[:, 1:]], ids[:, 1:][said[:, 1:]])
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser, schedule in zip(optimisers, schedules, strict=True):
            optimiser.step()
            schedule.step()
        losses.append(loss.item())
        tokens += int(said.sum())
        if progress is not None:
            progress(step, losses[-1])

    model.save_pretrained(folder_out)
    words.save_pretrained(folder_out)
    tenth = max(1, len(losses) // 10)
    return {
        "loss_first": sum(losses[:tenth]) / tenth,
        "loss_last": sum(losses[-tenth:]) / tenth,
        "steps": len(losses),
        "tokens": tokens,
        "seconds": time.monotonic() - began,
    }


# What the chat template shows of a tool is its name, so this says as much as the agent's own description.
_TOOLS = [{"type": "function", "function": {"name": "calculator"}}]
_BUCKET = 16


def _examples(words: Any, transcripts: Sequence[list[Message]]) -> list[Example]:
    """Token ids of each transcript, and for each id whether the assistant said it."""
    texts = words.apply_chat_template(transcripts, tools=_TOOLS, tokenize=False)
    opening = words("<|im_start|>assistant\n")["input_ids"]
    return [(ids, _said(ids, opening, words.eos_token_id)) for ids in words(texts)["input_ids"]]


def _said(ids: list[int], opening: list[int], end: int) -> list[bool]:
    said, speaking = [], False
    for place, token in enumerate(ids):
        said.append(speaking)
        begins = ids[max(0, place + 1 - len(opening)) : place + 1] == opening
        speaking = token != end if speaking else begins
    return said


def _batches(examples: Sequence[Example], *, size: int, rng: random.Random) -> Iterator[list[Example]]:
    """Batches of about equal length, so that little is padding, in random order, for ever."""
    while True:
        order = rng.sample(examples, len(examples))
        for start in range(0, len(order), size * _BUCKET):
            bucket = sorted(order[start : start + size * _BUCKET], key=lambda example: len(example[0]))
            batches = [bucket[first : first + size] for first in range(0, len(bucket), size)]
            rng.shuffle(batches)
            yield from batches


def _padded(batch: Sequence[Example], pad: int) -> tuple[Tensor, Tensor]:
    import torch

    longest = max(len(ids) for ids, _ in batch)
    rows = [(ids + [pad] * (longest - len(ids)), said + [False] * (longest - len(ids))) for ids, said in batch]
    return torch.tensor([ids for ids, _ in rows]), torch.tensor([said for _, said in rows])


def _height(step: int, recipe: Recipe) -> float:
    """The share of the full learning rate: up a straight line, down a cosine to a twentieth."""
    falling = 0.05 + 0.475 * (1 + math.cos(math.pi * min(1.0, step / recipe.steps)))
    return min(1.0, (step + 1) / recipe.warm_up) * falling
