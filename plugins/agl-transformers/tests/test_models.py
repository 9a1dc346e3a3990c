"""Any causal model that attends: what it says in a padded batch is what transformers says; others are refused."""

from __future__ import annotations

import asyncio

import pytest
import torch
from agl_transformers import agl_open_engine
from transformers import AutoModelForCausalLM

from agl_core.errors import EngineFailed

ATTENDING = {
    "llama": {},
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "mistral": {"sliding_window": 6},
    "gemma3_text": {"sliding_window": 6, "head_dim": 8, "layer_types": ["sliding_attention", "full_attention"]},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "phi3": {},
}


@pytest.mark.parametrize("kind", ATTENDING)
def test_logprobs_are_those_of_a_plain_forward_pass(serve, build, kind):
    """Whatever its positions, windows and heads."""
    folder = build(kind=kind, **ATTENDING[kind])
    model = AutoModelForCausalLM.from_pretrained(folder).eval()

    answer = serve(folder).ask("hello there", n=3, max_tokens=12)

    for choice in answer.choices:
        ids = torch.tensor([answer.prompt_token_ids + choice.token_ids])
        with torch.inference_mode():
            expected = model(ids).logits[0, len(answer.prompt_token_ids) - 1 : -1].log_softmax(-1)
        chosen = expected.gather(1, torch.tensor(choice.token_ids).unsqueeze(1)).squeeze(1)
        reported = torch.tensor([entry.logprob for entry in choice.logprobs.content])
        torch.testing.assert_close(reported, chosen, atol=1e-3, rtol=1e-3)


def test_a_model_with_a_recurrent_state_is_refused(build):
    """It would read the padding; the start says so, instead of wrong answers later."""
    folder = build(kind="mamba", state_size=4, expand=2, hidden_size=32, num_hidden_layers=2)
    engine = agl_open_engine(url=f"transformers:{folder}?max_len=64", name="policy")

    with pytest.raises(EngineFailed, match="batch"):
        asyncio.run(engine.start())


def test_sixteen_bits_are_served(serve, folder):
    """`dtype` in the URL loads the weights as such."""
    served = serve(folder, "dtype=bfloat16&threads=1&max_len=64")

    answer = served.ask()

    assert served.endpoint.max_len == 64
    assert answer.choices[0].token_ids
