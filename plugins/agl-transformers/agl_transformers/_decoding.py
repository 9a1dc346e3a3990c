"""Writes a batch of answers: prompts once, then a token for every row and step, rows leaving as they finish."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from agl_transformers._generation import Generation
from agl_transformers._sampling import Sampler
from agl_transformers._slab import Part, Slab

__all__ = ["Decoder"]

_PROMPT_TOKENS = 8192  # in one forward pass: more makes the activations fall out of the caches
_MASK_CELLS = 1 << 26


class Decoder:
    """A model, and how to write with it. Used by one thread at a time."""

    def __init__(self, model: Any, *, ends: frozenset[int], text_of: Callable[[Sequence[int]], str]) -> None:
        self.model = model
        self._ends = ends
        self._text_of = text_of
        self._layers = model.config.get_text_config().num_hidden_layers
        self._masks_itself = _masks_itself(model)
        self._keeps_logits = "logits_to_keep" in inspect.signature(model.forward).parameters

    def write(self, batch: Sequence[Generation]) -> Iterator[list[Generation]]:
        """Write these answers; after each step, those that are finished (also none)."""
        with torch.inference_mode():
            yield from self._write(list(batch))

    def _write(self, rows: list[Generation]) -> Iterator[list[Generation]]:
        length = max(len(row.prompt) for row in rows)
        slab, logits = self._read(rows)
        device = logits.device
        sampler = Sampler([row.sampling for row in rows], device)
        positions = torch.tensor([[len(row.prompt)] for row in rows], device=device)
        alive = list(range(len(rows)))
        step = 0
        while True:
            ids, logprobs = sampler.draw(logits, step=step)
            step += 1
            finished, alive = self._note(rows, alive, ids.tolist(), logprobs.tolist())
            yield finished
            if not alive:
                return
            if 2 * len(alive) <= len(rows):
                chosen = torch.tensor(alive, device=device)
                rows = [rows[index] for index in alive]
                alive = list(range(len(rows)))
                longest = max(len(row.prompt) for row in rows)
                slab = slab.kept(chosen, drop=length - longest)
                ids, positions, length = ids[chosen], positions[chosen], longest
                sampler.keep(chosen)
            mask = self._mask(positions, length + step)
            logits = self._forward(ids.unsqueeze(1), mask=mask, positions=positions, slab=slab)
            positions = positions + 1

    def _note(
        self, rows: Sequence[Generation], alive: Sequence[int], ids: Sequence[int], logprobs: Sequence[float]
    ) -> tuple[list[Generation], list[int]]:
        finished, left = [], []
        for index in alive:
            row = rows[index]
            row.tokens.append(ids[index])
            row.logprobs.append(logprobs[index])
            if ids[index] in self._ends or (row.stops and self._is_stopped(row)):
                row.finish = "stop"
            elif len(row.tokens) >= row.limit:
                row.finish = "length"
            elif not row.is_abandoned:
                left.append(index)
                continue
            finished.append(row)
        return finished, left

    def _is_stopped(self, row: Generation) -> bool:
        # A stop string ends in the newest token, and every token before it gave at least a byte.
        reach = max(len(stop.encode()) for stop in row.stops) + 8
        text = self._text_of(row.tokens[-reach:])
        return any(stop in text for stop in row.stops)

    def _read(self, rows: Sequence[Generation]) -> tuple[Slab, Tensor]:
        """The slab after all prompts, and the logits of the first tokens; equal prompts are computed once."""
        readers: dict[tuple[int, ...], list[int]] = {}
        for index, row in enumerate(rows):
            readers.setdefault(tuple(row.prompt), []).append(index)
        parts: list[Part] = []
        logits: list[Tensor] = []
        order: list[int] = []
        for prompts in _grouped(readers):
            slab = Slab(self._layers)
            first = self._prefill(prompts, slab)
            part = Part(slab, [readers[prompt] for prompt in prompts])
            logits.append(first[[origin for origin, targets in enumerate(part.becomes) for _ in targets]])
            order.extend(target for targets in part.becomes for target in targets)
            parts.append(part)
        is_whole = len(parts) == 1 and order == list(range(len(rows))) and len(readers) == len(rows)
        whole = parts[0].slab if is_whole else Slab.merged(parts, rows=len(rows))
        return whole, torch.cat(logits)[torch.tensor(order, device=logits[0].device).argsort()]

    def _prefill(self, prompts: Sequence[tuple[int, ...]], slab: Slab) -> Tensor:
        width = max(map(len, prompts))
        device = self.model.device
        ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
        pads = torch.tensor([[width - len(prompt)] for prompt in prompts], device=device)
        columns = torch.arange(width, device=device)
        positions = (columns - pads).clamp_(min=0)
        if not pads.any():
            return self._forward(ids, mask=None, positions=positions, slab=slab)
        mask = columns >= pads
        if not self._masks_itself:
            causal = columns <= columns.unsqueeze(1)
            # A padding column sees itself: a row that sees nothing becomes NaN, and would infect the others.
            mask = (mask[:, None, None, :] & causal) | torch.eye(width, dtype=torch.bool, device=device)
        return self._forward(ids, mask=mask, positions=positions, slab=slab)

    def _mask(self, positions: Tensor, length: int) -> Tensor:
        mask = torch.arange(length, device=positions.device) >= length - 1 - positions
        return mask if self._masks_itself else mask[:, None, None, :]

    def _forward(self, ids: Tensor, *, mask: Tensor | None, positions: Tensor, slab: Slab) -> Tensor:
        last = {"logits_to_keep": 1} if self._keeps_logits else {}
        answer = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=slab.cache,
            use_cache=True,
            **last,
        )
        logits: Tensor = answer.logits[:, -1]
        return logits


def _grouped(prompts: Iterable[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    """Prompts of like length together, as many as one pass should take."""
    group: list[tuple[int, ...]] = []
    for prompt in sorted(prompts, key=len):
        rows, width = len(group) + 1, len(prompt)
        if group and (rows * width > _PROMPT_TOKENS or rows * width * width > _MASK_CELLS):
            yield group
            group = []
        group.append(prompt)
    yield group


def _masks_itself(model: Any) -> bool:
    """Its layers see different windows, so that it must derive their masks from the padding; slower."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return kinds != {"full_attention"} or bool(getattr(config, "sliding_window", None))
