"""Shows, before anyone is served, that a model decoded in a padded batch says what it says alone."""

from __future__ import annotations

from typing import Any

import torch

from agl_core.errors import EngineFailed
from agl_transformers._decoding import Decoder
from agl_transformers._generation import Generation, Sampling

__all__ = ["prove"]

_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-3}
_COARSE = 0.25  # in 16 bits the order of a sum shows in the second digit
_STEPS = 3


def prove(decoder: Decoder, *, url: str) -> None:
    """Raise unless cache, padding and positions mean to this model what the decoder takes them to mean.

    A recurrent state, say, reads the padding that attention is told to ignore: its answers would be wrong, silently.
    """
    model = decoder.model
    vocabulary = model.get_input_embeddings().num_embeddings
    prompt = [(7 * index + 3) % vocabulary for index in range(12)]
    sampling = Sampling(temperature=0.0, seed=0)
    batch = [Generation(prompt=each, sampling=sampling, limit=_STEPS) for each in (prompt[:3], prompt)]
    tolerance = _TOLERANCE.get(model.dtype, _COARSE)
    try:
        for _ in decoder.write(batch):
            pass
        error = max(_error(model, each) for each in batch)
    except Exception as reason:
        raise EngineFailed(url, why=f"its model cannot be decoded in batches: {reason}") from reason
    if not error <= tolerance:
        raise EngineFailed(
            url, why=f"its model answers otherwise in a batch than alone (logprobs differ by {error:.2g})"
        )


@torch.inference_mode()
def _error(model: Any, written: Generation) -> float:
    """The largest distance between a written token's log-probability and that of one plain forward pass."""
    start = len(written.prompt)
    ids = torch.tensor([[*written.prompt, *written.tokens]], device=model.device)
    logprobs = model(input_ids=ids, use_cache=False).logits[0, start - 1 : -1].float().log_softmax(-1)
    alone = logprobs.gather(1, ids[0, start:].unsqueeze(1)).squeeze(1)
    return float((alone - torch.tensor(written.logprobs, device=model.device)).abs().max())
