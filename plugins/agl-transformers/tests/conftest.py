"""A real model with random weights, made anew for every run of the tests, and the engine that serves it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from agl_transformers import agl_open_engine
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from agl_core.engine import Endpoint, Engine

CONTEXT = 256
END = "<|im_end|>"

_TEMPLATE = """\
{%- if tools %}{{ '<|im_start|>system\\n' }}{% for tool in tools %}{{ tool | tojson }}{% endfor %}
{{- '<|im_end|>\\n' }}{% endif %}
{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content }}
{%- for call in message.tool_calls or [] -%}
{{- '<tool_call>{"name": "' + call.function.name + '", "arguments": ' + call.function.arguments + '}</tool_call>' }}
{%- endfor %}{{ '<|im_end|>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small gain nothing from a second thread, and on a busy machine wait for it at every step."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Bytes, and a few tags: any text can be written, and any ids can be read."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tags = ["<|pad|>", "<|im_start|>", END]
    bytes_only = Tokenizer(models.BPE(vocab={each: place for place, each in enumerate(alphabet)}, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    bytes_only.add_special_tokens([AddedToken(tag, normalized=False, special=True) for tag in tags])
    bytes_only.add_tokens([AddedToken(tag, normalized=False) for tag in ("<tool_call>", "</tool_call>")])
    fast = PreTrainedTokenizerFast(tokenizer_object=bytes_only, eos_token=END, pad_token="<|pad|>")
    fast.chat_template = _TEMPLATE
    return fast


@pytest.fixture(scope="session")
def build(tmp_path_factory, tokenizer) -> Callable[..., Path]:
    """Makes a model's folder: a Llama, unless another `kind` is asked for."""

    def built(seed: int = 0, *, kind: str = "llama", **changes: Any) -> Path:
        sizes = {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": CONTEXT,
            "vocab_size": len(tokenizer),
            # Large: random weights of the usual size give every token the same chance, and nothing could be told apart.
            "initializer_range": 0.3,
        }
        ids = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
        config = AutoConfig.for_model(kind, **{**sizes, **ids, "dtype": "float32", **changes})
        folder = tmp_path_factory.mktemp(kind)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return built


@pytest.fixture(scope="session")
def folder(build) -> Path:
    """The model that most tests ask."""
    return build()


class Served:
    """A running engine and OpenAI's client at it."""

    def __init__(self, folder: Path, query: str = "threads=1") -> None:
        engine = agl_open_engine(url=f"transformers:{folder}?{query}", name="policy")
        assert engine is not None
        self.engine: Engine = engine
        self.endpoint: Endpoint = asyncio.run(engine.start())
        self.client = openai.OpenAI(base_url=self.endpoint.url, api_key=self.endpoint.api_key, max_retries=0)
        self.headers = {"authorization": f"Bearer {self.endpoint.api_key}"}

    def ask(self, content: str | list[Any] = "hello", /, **given: Any) -> Any:
        """A completion with ids and log-probabilities; `content` is what the user says, or all messages."""
        messages = [{"role": "user", "content": content}] if isinstance(content, str) else content
        body = {"return_token_ids": True, **given.pop("extra_body", {})}
        given = {"max_tokens": 16, "logprobs": True, "seed": 1, "model": "policy", **given}
        return self.client.chat.completions.create(messages=messages, extra_body=body, **given)

    def close(self) -> None:
        """Stop the engine and the client."""
        asyncio.run(self.engine.stop())
        self.client.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Starts engines, and stops them after the test."""
    started: list[Served] = []

    def serving(folder: Path, query: str = "threads=1") -> Served:
        started.append(Served(folder, query))
        return started[-1]

    yield serving
    for each in started:
        each.close()


@pytest.fixture(scope="session")
def served(folder) -> Iterator[Served]:
    """One engine for every test that leaves it as it was."""
    shared = Served(folder)
    yield shared
    shared.close()


@pytest.fixture(scope="session")
def plain(folder) -> tuple[Any, Any]:
    """The same model and tokenizer, as transformers gives them."""
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
