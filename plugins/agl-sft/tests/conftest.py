"""A real model, small enough to be asked and tuned in no time, an agent that asks it, and rows of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from zlib import crc32

import httpx
import pytest

import agl_core as agl
from agl_core.run import describe

END = "<end>"
collect_ignore = [] if find_spec("trl") else ["test_trl.py", "test_tuner.py"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """The fields of a `triplets` row that the tuner reads."""

    rollout_id: str
    task_id: str
    token_ids: tuple
    prompt_length: int
    mask: tuple
    credits: tuple
    reward: float


@pytest.fixture(scope="session")
def make_row():
    """A row whose `said` tokens follow the prompt; those in brackets were put there by the agent, between calls."""

    def make(rollout_id, prompt, *said, earned=1.0, task_id="ta-1"):
        tokens = [(*token, 0) if isinstance(token, list) else (token, 1) for token in said]
        calls = sum(bit for bit, _ in groupby(bit for _, bit in tokens))
        return Row(
            rollout_id=rollout_id,
            task_id=task_id,
            token_ids=(*prompt, *(token for token, _ in tokens)),
            prompt_length=len(prompt),
            mask=tuple(bit for _, bit in tokens),
            credits=(earned,) * calls,
            reward=earned,
        )

    return make


@agl.rollout
async def speak(task, llm):
    """Earns something by what it says: another answer earns something else."""
    body = {"model": llm.model, "messages": [{"role": "user", "content": task["letter"]}]}
    async with httpx.AsyncClient(timeout=60) as client:
        headers = {"authorization": f"Bearer {llm.api_key}"}
        reply = await client.post(f"{llm.endpoint}/chat/completions", json=body, headers=headers)
    said = reply.json()["choices"][0]["message"]["content"] or ""
    return crc32(said.encode()) % 8 / 8


@pytest.fixture(scope="session")
def agent():
    """It asks the policy."""
    return speak


def build(folder, *, vocabulary=None, seed=0):
    """A Llama with random weights over a few letters, and a tokenizer that puts turns into a chat."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    # The machine is shared with other tests, and threads that wait for each other's cores wait long.
    torch.set_num_threads(1)
    letters = sorted(vocabulary or pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    words.add_special_tokens([END, "<pad>"])
    fast = PreTrainedTokenizerFast(tokenizer_object=words, eos_token=END, pad_token="<pad>")
    fast.chat_template = (
        f"{{% for message in messages %}}{{{{ message.role + ':' + message.content + '{END}' }}}}{{% endfor %}}"
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
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Where the model lies."""
    return build(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def first(folder):
    """It as a checkpoint."""
    return describe(folder)
