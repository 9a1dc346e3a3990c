"""GRPO keeps what every algorithm promises, with a real model: killed at any movement and resumed, it ends the same."""

from importlib.util import find_spec
from zlib import crc32

import httpx
import pytest

import agl_core as agl
from agl_core.testing import AlgorithmContract

pytestmark = pytest.mark.slow
for framework in ("torch", "transformers", "tokenizers", "agl_transformers", "agl_triplets", "agl_rewards"):
    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed", allow_module_level=True)

END = "<end>"


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
def folder(tmp_path_factory):
    """A Llama with random weights over a few letters, and a tokenizer that puts turns into a chat."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(1)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
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
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
    )
    folder = tmp_path_factory.mktemp("model")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


class TestGrpo(AlgorithmContract):
    """Three steps on four letters, one request at a time."""

    @pytest.fixture
    def make(self):
        """Small, and with checkpoints that are made again."""
        from agl_grpo import Grpo

        small = {"tasks_per_step": 2, "group_size": 2, "max_tokens": 4, "learning_rate": 1e-3}
        return lambda: Grpo(steps=3, checkpoint_every=2, eval_every=2, device="cpu", **small)

    @pytest.fixture
    def agent(self):
        """It asks the policy."""
        return speak

    @pytest.fixture
    def tasks(self):
        """A letter each."""
        return {
            "train": [{"letter": letter} for letter in "abcd"],
            "val": [{"letter": "e"}],
            "test": [{"letter": "f"}],
        }

    @pytest.fixture
    def options(self, folder, monkeypatch):
        """The engine that serves it; the same tokens come of the same seed."""
        monkeypatch.setenv("AGL_LOAD_PLUGINS", "transformers,triplets,rewards")
        return {"models": {"policy": f"transformers:{folder}?threads=1"}, "deterministic": True}

    def test_the_run_that_is_killed_trains(self, lives):
        """Every step of it changes the weights: there is something to lose."""
        assert lives.whole("whole").movements.count("update") == 3
