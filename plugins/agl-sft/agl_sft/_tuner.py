"""A round of tuning: rows in, the next checkpoint's files out."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch

from agl_core.engine import Checkpoint
from agl_core.errors import BadValue
from agl_sft._config import SftConfig
from agl_sft._student import load, save
from agl_sft._trl import Example, fit, insist_on_trl
from agl_sft._tunable import insist_on_tunable

__all__ = ["Row", "Tuner", "examples"]


class Row(Protocol):
    """What is read of a row; the `triplets` adapter says what each field means."""

    @property
    def rollout_id(self) -> str: ...
    @property
    def task_id(self) -> str: ...
    @property
    def reward(self) -> float | None: ...
    @property
    def token_ids(self) -> Sequence[int]: ...
    @property
    def prompt_length(self) -> int: ...
    @property
    def mask(self) -> Sequence[int]: ...
    @property
    def credits(self) -> Sequence[float]: ...


class Tuner:
    """Tunes a policy. It remembers nothing: the optimiser of each round is a new one."""

    def __init__(self, config: SftConfig, first: Checkpoint, *, seed: int = 0, deterministic: bool = False) -> None:
        """Raises `MissingExtra`, `NotTunable` and `BadValue` for what would fail the first round."""
        insist_on_trl()
        insist_on_tunable(first, config)
        self._config, self._seed, self._deterministic = config, seed, deterministic
        if config.device == "cuda" and not torch.cuda.is_available():
            raise BadValue("device", "cuda", why="there is no GPU here that PyTorch can use")
        self._on_gpu = config.device != "cpu" and torch.cuda.is_available()

    def tune(self, checkpoint: Checkpoint, out: Path, rows: Sequence[Row], number: int) -> dict[str, float]:
        """Write to `out` the policy that follows `checkpoint` after round `number`; the metrics of making it.

        The same files and arguments give the same bytes, on one machine with one number of threads.
        """
        started = time.perf_counter()
        dice = random.Random(f"{self._seed}/{number}")
        made = examples(rows, weighted=self._config.choose == "weighted")
        with _threads(1 if self._deterministic else torch.get_num_threads()):
            # Adapters begin the same in every round: only the first makes some.
            student = load(checkpoint, self._config, seed=self._seed)
            _refuse_foreign(rows, student.model.config.get_text_config().vocab_size)
            metrics = fit(student.model, made, self._config, seed=dice.getrandbits(31), on_gpu=self._on_gpu)
        save(
            student,
            out,
            source=checkpoint.folder,
            state={"parent": checkpoint.digest, "rows": _digest(rows), "round": number},
        )
        tokens = sum(sum(row.mask) for row in rows)
        passed = self._config.epochs * tokens / (time.perf_counter() - started)
        return {**metrics, "train/rows": len(rows), "train/tokens": tokens, "train/tokens_per_second": passed}


def examples(rows: Sequence[Row], *, weighted: bool = False) -> list[Example]:
    """The rows as TRL sees them; weighted, each by what it earned, so that the mean weight of a sampled token is 1."""
    weights = _weights(rows) if weighted else [1.0] * len(rows)
    return [
        Example.of(row.token_ids, row.mask, prompt_length=row.prompt_length, weight=weight)
        for row, weight in zip(rows, weights, strict=True)
    ]


def _weights(rows: Sequence[Row]) -> list[float]:
    earned = [row.credits[0] for row in rows]  # of a rollout, and so the same for all of its calls
    if len(set(earned)) == 1:
        return [1.0] * len(rows)
    counts = [sum(row.mask) for row in rows]
    mean = sum(one * count for one, count in zip(earned, counts, strict=True)) / sum(counts)
    return [one / mean for one in earned]


def _refuse_foreign(rows: Sequence[Row], vocabulary: int) -> None:
    highest = max(max(row.token_ids) for row in rows)
    if highest >= vocabulary:
        why = f"the policy knows {vocabulary} tokens: these rows are of a model with another tokenizer"
        raise BadValue("token id", highest, why=why)


def _digest(rows: Sequence[Row]) -> str:
    # Without ids: what is learnt from the same tokens in another run is the same checkpoint.
    facts = [(tuple(row.token_ids), tuple(row.mask), tuple(row.credits)) for row in rows]
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
