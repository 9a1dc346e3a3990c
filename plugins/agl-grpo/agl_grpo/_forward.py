"""The one forward pass: logits where a token was sampled, and nowhere else."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from agl_grpo._batch import Batch

__all__ = ["sampled_logits"]


def sampled_logits(model: Any, batch: Batch) -> Tensor:
    """N x V: what each sampled token was drawn from, its temperature applied."""

    # Before the head and not around the model: its scaling, its soft caps and its adapters keep working, and the widest
    # product of the pass is made for the places that count.
    def only_where_sampled(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0].flatten(0, 1)[batch.at],)

    head = model.get_output_embeddings().register_forward_pre_hook(only_where_sampled)
    try:
        logits: Tensor = model(input_ids=batch.tokens, use_cache=False).logits
    finally:
        head.remove()
    return logits.float() / batch.temperature[:, None]
