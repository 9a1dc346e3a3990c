"""One update: rows in, the next checkpoint's files out."""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agl_core.engine import Checkpoint
from agl_grpo import _loss
from agl_grpo._aggregation import AGGREGATIONS, Shared
from agl_grpo._batch import Batch, Lesson, Row, as_batch, batches, passes
from agl_grpo._config import GrpoConfig
from agl_grpo._drift import Tokenizer
from agl_grpo._forward import sampled_logits
from agl_grpo._student import STATE, Student, load, load_frozen, save
from agl_grpo._tunable import device_of, insist_on_tunable

__all__ = ["Learner"]

Sums = defaultdict[str, float]

_LOGITS_PER_PASS = 1 << 25  # 128 MiB of them


class Learner:
    """Updates a policy. What it keeps in memory is only a copy of the files it wrote last."""

    def __init__(
        self, config: GrpoConfig, *, reference: Checkpoint, seed: int = 0, deterministic: bool = False
    ) -> None:
        """Raises `NotTunable` and `BadValue` for a model and a device that would fail the first update."""
        self._config, self._reference, self._seed, self._deterministic = config, reference, seed, deterministic
        self._device = device_of(config)
        insist_on_tunable(reference, config)
        self._tokenizer = Tokenizer(reference)
        self._frozen: Any = None
        self._memory: tuple[str, Student] | None = None

    def update(
        self, checkpoint: Checkpoint, out: Path, rows: Sequence[Row], rollouts: Mapping[str, int], step: int
    ) -> dict[str, float]:
        """Write to `out` the policy that follows `checkpoint` after learning from `rows`; the metrics of doing so.

        `rollouts` are all of the round that count, those without rows too, each with the tokens that it sampled: they
        divide the loss. The same files and arguments give the same bytes, on one machine with one number of threads.
        """
        started = time.perf_counter()
        student, self._memory = self._recall(checkpoint), None  # none, until all of the step is done
        sums: Sums = defaultdict(float)
        for group in student.optimizer.param_groups:
            group["lr"] = self._config.learning_rate_at(step)
        with _threads(1 if self._deterministic else torch.get_num_threads()):
            lessons = self._lessons(student, rows)
            for epoch in range(self._config.epochs):
                dice = random.Random(f"{self._seed}/{step}/{epoch}")
                for some in self._minibatches(lessons, rollouts, dice):
                    self._improve(student, some, sums)
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

    def _lessons(self, student: Student, rows: Sequence[Row]) -> list[Lesson]:
        """What stays the same in all epochs and minibatches, said before the first of them moves a weight."""
        lessons = [Lesson(row=row) for row in rows]
        if self._config.recompute_old:
            old = self._asked(student.model, lessons)
            lessons = [replace(lesson, old=said) for lesson, said in zip(lessons, old, strict=True)]
        if self._config.kl:
            with self._first(student) as model:
                first = self._asked(model, lessons)
            lessons = [replace(lesson, reference=said) for lesson, said in zip(lessons, first, strict=True)]
        return lessons

    @contextmanager
    def _first(self, student: Student) -> Iterator[Any]:
        """The first checkpoint, as a model: no second copy of it where it is what the student's adapters lie on."""
        if student.base is not None and self._reference.base is None and student.base == self._reference.folder:
            with student.model.disable_adapter():
                yield student.model
            return
        if self._frozen is None:
            self._frozen = load_frozen(self._reference, device=self._device)
        yield self._frozen

    @torch.no_grad()
    def _asked(self, model: Any, lessons: Sequence[Lesson]) -> list[list[float]]:
        """Log-probabilities that a model gives to what was sampled, of each lesson."""
        found: dict[int, list[float]] = {}
        for some in passes(lessons, **self._bounds(model)):
            batch = as_batch(some).to(self._device)
            values = iter(_loss.logprobs(sampled_logits(model, batch), batch.sampled).tolist())
            found |= {id(lesson): list(islice(values, len(lesson.row.logprobs))) for lesson in some}
        return [found[id(lesson)] for lesson in lessons]

    def _bounds(self, model: Any) -> dict[str, int]:
        """Of what goes through the model at once."""
        sampled = max(1, _LOGITS_PER_PASS // model.config.vocab_size)
        return {"tokens_per_pass": self._config.tokens_per_pass, "sampled_per_pass": sampled}

    def _minibatches(
        self, lessons: Sequence[Lesson], rollouts: Mapping[str, int], dice: random.Random
    ) -> Iterator[list[Lesson]]:
        """What each optimiser step sees: all rows of some rollouts, and the weight that their tokens have there."""
        names = list(rollouts)
        steps = math.ceil(len(names) / (self._config.minibatch or len(names)))
        if steps > 1:
            dice.shuffle(names)
        for step in range(steps):
            # Evenly: of a last one that is left over, each rollout would move the weights by more than any other.
            some = {
                name: rollouts[name] for name in names[step * len(names) // steps : (step + 1) * len(names) // steps]
            }
            shared = Shared(rollouts=len(some), tokens=sum(some.values()), constant=self._constant)
            weigh = AGGREGATIONS[self._config.aggregation]
            theirs = [lesson for lesson in lessons if lesson.row.rollout_id in some]
            if theirs:
                yield [replace(lesson, weight=weigh(lesson.row, shared)) for lesson in theirs]

    @property
    def _constant(self) -> int:
        return self._config.aggregation_constant or self._config.max_tokens

    def _improve(self, student: Student, lessons: Sequence[Lesson], sums: Sums) -> None:
        """One optimiser step."""
        student.optimizer.zero_grad()
        for batch in batches(lessons, **self._bounds(student.model)):
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
        config = self._config
        logits = sampled_logits(model, batch)
        new = _loss.logprobs(logits, batch.sampled)
        token_loss = _loss.surrogate(new, batch.old, batch.advantage, **config.clips)
        sums["tokens"] += len(new)
        sums["entropy"] += float(_loss.entropy(logits).sum())
        sums["kl"] += float(_loss.k3(batch.old, new.detach()).sum())
        sums["clipped"] += float(_loss.clipped(new, batch.old, batch.advantage, **config.clips).sum())
        if config.recompute_old:
            sums["kl_rollout"] += float(_loss.k3(batch.rollout, batch.old).sum())
            if config.is_truncation:
                weight = _loss.truncated(batch.old, batch.rollout, cap=config.is_truncation)
                token_loss = token_loss * weight
                sums["is_weight"] += float(weight.sum())
                sums["is_truncated"] += float((weight == config.is_truncation).sum())
        if config.kl:
            divergence = _loss.DIVERGENCES[config.kl_estimator](new, batch.reference)
            if config.kl_by_ratio:
                divergence = (new - batch.old).exp() * divergence
            token_loss = token_loss + config.kl * divergence
            sums["kl_reference"] += float(divergence.detach().sum())
        return (token_loss * batch.weight).sum()


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
    asked_for = ("kl_reference", "kl_rollout", "is_weight", "is_truncated")
    return metrics | {f"policy/{name}": sums[name] / tokens for name in asked_for if name in sums}


def _digest(rows: Sequence[Row], rollouts: Mapping[str, int]) -> str:
    facts = [(row.rollout_id, row.token_ids, row.mask, row.logprobs, row.sampled, row.credits) for row in rows]
    return hashlib.blake2b(repr((facts, sorted(rollouts.items()))).encode(), digest_size=16).hexdigest()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
