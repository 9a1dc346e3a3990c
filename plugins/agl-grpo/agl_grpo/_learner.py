"""One update: rows in, the next checkpoint's files out."""

from __future__ import annotations

import hashlib
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agl_core.engine import Checkpoint
from agl_grpo import _loss
from agl_grpo._batch import Batch, Row, batches
from agl_grpo._config import GrpoConfig
from agl_grpo._drift import Tokenizer
from agl_grpo._forward import sampled_logits
from agl_grpo._student import STATE, Student, load, load_frozen, save

__all__ = ["Learner"]

Sums = defaultdict[str, float]

_LOGITS_PER_PASS = 1 << 25  # 128 MiB of them


class Learner:
    """Updates a policy. What it keeps in memory is only a copy of the files it wrote last."""

    def __init__(
        self, config: GrpoConfig, *, reference: Checkpoint, seed: int = 0, deterministic: bool = False
    ) -> None:
        self._config, self._reference, self._seed, self._deterministic = config, reference, seed, deterministic
        automatic = "cuda" if torch.cuda.is_available() else "cpu"
        self._device = torch.device(automatic if config.device == "auto" else config.device)
        self._tokenizer = Tokenizer(reference)
        self._frozen: Any = None
        self._memory: tuple[str, Student] | None = None

    def update(
        self, checkpoint: Checkpoint, out: Path, rows: Sequence[Row], rollouts: Sequence[str], step: int
    ) -> dict[str, float]:
        """Write to `out` the policy that follows `checkpoint` after learning from `rows`; the metrics of doing so.

        `rollouts` are all of the round that count, those without rows too: their number divides the loss. The same
        files and arguments give the same bytes, on one machine with one number of threads.
        """
        started = time.perf_counter()
        student, self._memory = self._recall(checkpoint), None  # none, until all of the step is done
        sums: Sums = defaultdict(float)
        for group in student.optimizer.param_groups:
            group["lr"] = self._config.learning_rate_at(step)
        with _threads(1 if self._deterministic else torch.get_num_threads()):
            for epoch in range(self._config.epochs):
                dice = random.Random(f"{self._seed}/{step}/{epoch}")
                for some, counted in self._minibatches(rows, rollouts, dice):
                    self._improve(student, some, counted, sums)
        save(
            student,
            out,
            source=checkpoint.folder,
            state={"parent": checkpoint.digest, "rows": _digest(rows, rollouts), "step": step},
        )
        self._memory = (out / STATE).read_text(), student
        metrics = _metrics(sums, rows=len(rows), seconds=time.perf_counter() - started)
        return metrics | self._tokenizer.drift(rows)

    def _recall(self, checkpoint: Checkpoint) -> Student:
        state = checkpoint.folder / STATE
        # A state names its parent and its rows: where two are equal, so are the weights beside them.
        if self._memory and state.exists() and state.read_text() == self._memory[0]:
            return self._memory[1]
        return load(checkpoint, self._config, device=self._device, seed=self._seed)

    def _minibatches(
        self, rows: Sequence[Row], rollouts: Sequence[str], dice: random.Random
    ) -> Iterator[tuple[list[Row], int]]:
        """What each optimiser step sees: all rows of some rollouts, and how many these are."""
        rollouts = list(rollouts)
        size = self._config.minibatch or len(rollouts)
        if size < len(rollouts):
            dice.shuffle(rollouts)
        for first in range(0, len(rollouts), size):
            some = set(rollouts[first : first + size])
            if theirs := [row for row in rows if row.rollout_id in some]:
                yield theirs, len(some)

    def _improve(self, student: Student, rows: Sequence[Row], rollouts: int, sums: Sums) -> None:
        """One optimiser step on the mean loss over so many rollouts."""
        student.optimizer.zero_grad()
        for batch in batches(
            rows,
            rollouts,
            tokens_per_pass=self._config.tokens_per_pass,
            sampled_per_pass=max(1, _LOGITS_PER_PASS // student.model.config.vocab_size),
        ):
            self._loss_of(student.model, batch.to(self._device), sums).backward()
        # A gradient that is not finite would spoil the weights for good; it fails the step instead.
        norm = nn.utils.clip_grad_norm_(
            student.trained.values(), self._config.grad_clip or float("inf"), error_if_nonfinite=True
        )
        student.optimizer.step()
        student.optimizer_steps += 1
        sums["grad_norm"] += float(norm)
        sums["updates"] += 1

    def _loss_of(self, model: Any, batch: Batch, sums: Sums) -> Tensor:
        logits = sampled_logits(model, batch)
        new = _loss.logprobs(logits, batch.sampled)
        token_loss = _loss.surrogate(new, batch.old, batch.advantage, clip=self._config.clip)
        sums["tokens"] += len(new)
        sums["entropy"] += float(_loss.entropy(logits).sum())
        sums["kl"] += float(_loss.k3(batch.old, new.detach()).sum())
        sums["clipped"] += float(_loss.clipped(new, batch.old, batch.advantage, clip=self._config.clip).sum())
        if self._config.kl:
            divergence = _loss.k3(new, self._reference_logprobs(batch))
            token_loss = token_loss + self._config.kl * divergence
            sums["kl_reference"] += float(divergence.detach().sum())
        return (token_loss * batch.weight).sum()

    @torch.no_grad()
    def _reference_logprobs(self, batch: Batch) -> Tensor:
        if self._frozen is None:
            self._frozen = load_frozen(self._reference, device=self._device)
        return _loss.logprobs(sampled_logits(self._frozen, batch), batch.sampled)


def _metrics(sums: Sums, *, rows: int, seconds: float) -> dict[str, float]:
    tokens = sums["tokens"]
    metrics = {
        "policy/entropy": sums["entropy"] / tokens,
        "policy/kl": sums["kl"] / tokens,
        "policy/clip_fraction": sums["clipped"] / tokens,
        "policy/grad_norm": sums["grad_norm"] / sums["updates"],
        "train/tokens_per_second": tokens / seconds,
        "train/rows": rows,
    }
    if "kl_reference" in sums:
        metrics["policy/kl_reference"] = sums["kl_reference"] / tokens
    return metrics


def _digest(rows: Sequence[Row], rollouts: Sequence[str]) -> str:
    facts = [(row.rollout_id, row.token_ids, row.mask, row.logprobs, row.sampled, row.credits) for row in rows]
    return hashlib.blake2b(repr((facts, sorted(rollouts))).encode(), digest_size=16).hexdigest()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
