"""Tiny real models that speak, for tests of whole runs: a few letters, and weights that were drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

import agl_core as agl

__all__ = ["ask", "speaking"]

_END = "<end>"


def speaking(folder: Path, *, seed: int = 0) -> Path:
    """A Llama over a few letters, and a tokenizer that puts turns into a chat, in `folder`."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(1)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    words.add_special_tokens([_END, "<pad>"])
    fast = PreTrainedTokenizerFast(tokenizer_object=words, eos_token=_END, pad_token="<pad>")
    fast.chat_template = (
        f"{{% for message in messages %}}{{{{ message.role + ':' + message.content + '{_END}' }}}}{{% endfor %}}"
        "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    )
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=96,
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


async def ask(llm: agl.LLM, said: str, *, agent: str | None = None) -> str:
    """One call; what the model answered."""
    body: dict[str, Any] = {"model": llm.model, "messages": [{"role": "user", "content": said}]}
    headers = {"authorization": f"Bearer {llm.api_key}"} | ({"AGL-Agent": agent} if agent else {})
    async with httpx.AsyncClient(timeout=60) as client:
        reply = await client.post(f"{llm.endpoint}/chat/completions", json=body, headers=headers)
    return str(reply.raise_for_status().json()["choices"][0]["message"]["content"] or "")
