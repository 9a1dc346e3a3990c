"""A real model, small enough to be asked for thousands of times, and rows sampled from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby

import pytest

from agl_core.run import describe

_WITHOUT = {
    "torch": {"algorithm", "invariance", "learner", "loss", "policies", "tunable", "against_trl", "against_verl"},
    "trl": {"against_trl"},
    "verl": {"against_verl"},
    "agl_rewards": {"against_verl"},
}
"""What cannot be collected where something is missing."""
collect_ignore = [f"test_{name}.py" for needed in _WITHOUT if find_spec(needed) is None for name in _WITHOUT[needed]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """The fields of a `triplets` row that the learner reads."""

    rollout_id: str
    token_ids: tuple
    prompt_length: int
    mask: tuple
    logprobs: tuple
    sampled: tuple
    credits: tuple
    began: str = "start"
    staleness: tuple = (0,)
    temperature: float = 1.0
    rollout_tokens: int


@pytest.fixture(scope="session")
def make_row():
    """A row whose `said` tokens follow the prompt; those in brackets were put there by the agent, between calls."""

    def make(rollout_id, prompt, *said, earned=1.0, logprobs=None, rollout_tokens=None, temperature=1.0):
        tokens = [(*token, 0) if isinstance(token, list) else (token, 1) for token in said]
        count = sum(bit for _, bit in tokens)
        calls = tuple(len(list(of)) for bit, of in groupby(bit for _, bit in tokens) if bit)
        credit = earned if isinstance(earned, tuple) else (earned,) * len(calls)
        return Row(
            rollout_id=rollout_id,
            token_ids=(*prompt, *(token for token, _ in tokens)),
            prompt_length=len(prompt),
            mask=tuple(bit for _, bit in tokens),
            logprobs=(-2.0,) * count if logprobs is None else tuple(logprobs),
            sampled=calls,
            credits=credit,
            staleness=(0,) * len(calls),
            temperature=temperature,
            rollout_tokens=rollout_tokens or count,
        )

    return make


@pytest.fixture(scope="session")
def first(tmp_path_factory):
    """The checkpoint of a Llama with random weights over 16 tokens."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.decoders import Fuse
    from tokenizers.models import BPE
    from transformers import LlamaConfig, LlamaForCausalLM

    # The machine is shared with other tests, and threads that wait for each other's cores wait long.
    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=16,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    folder = tmp_path_factory.mktemp("first")
    model.save_pretrained(folder)
    # Two tokens say "ab" together, and so does one: a policy may sample either, and text tells them not apart.
    words = [chr(ord("a") + place) for place in range(14)]
    codec = Tokenizer(BPE({word: place for place, word in enumerate([*words, "ab", "<end>"])}, [("a", "b")]))
    codec.decoder = Fuse()
    codec.save(str(folder / "tokenizer.json"))
    return describe(folder)


@pytest.fixture(scope="session")
def load():
    """The model of a checkpoint."""
    import torch
    from agl_grpo._student import load_frozen

    return lambda checkpoint: load_frozen(checkpoint, device=torch.device("cpu"))


@pytest.fixture(scope="session")
def sample():
    """`count` tokens of `model` after `prompt`, with their log-probabilities and entropies."""
    import torch

    @torch.no_grad()
    def draw(model, prompt, count, generator, temperature=1.0):
        tokens, logprobs, entropies = list(prompt), [], []
        for _ in range(count):
            logits = model(input_ids=torch.tensor([tokens])).logits[0, -1] / temperature
            log_pi = logits.log_softmax(-1)
            token = int(torch.multinomial(log_pi.exp(), 1, generator=generator))
            tokens.append(token)
            logprobs.append(float(log_pi[token]))
            entropies.append(float(-(log_pi.exp() * log_pi).sum()))
        return tokens[len(prompt) :], logprobs, entropies

    return draw


@pytest.fixture(scope="session")
def total(first):
    """Loss, gradient and sums of rows under a config, for a model, by the learner: all in one optimiser step."""
    import torch
    from agl_grpo import GrpoConfig
    from agl_grpo._batch import batches
    from agl_grpo._learner import Learner
    from agl_grpo._student import Student

    def compute(model, rows, *, rollouts=None, tokens_per_pass=4096, sampled_per_pass=4096, **options):
        learner = Learner(GrpoConfig(**options), reference=first)
        sums, loss = Counter(), 0.0
        model.requires_grad_(requires_grad=True).zero_grad()
        lessons = learner._lessons(Student(model, None, None, 0), rows)
        ((weighed),) = learner._minibatches(lessons, rollouts or counted(rows), None)
        for batch in batches(weighed, tokens_per_pass=tokens_per_pass, sampled_per_pass=sampled_per_pass):
            part = learner._loss_of(model, batch, sums)
            part.backward()
            loss += part.item()
        return loss, torch.cat([weight.grad.flatten() for weight in model.parameters()]), dict(sums)

    return compute


def counted(rows):
    """What each rollout sampled."""
    tokens = Counter()
    for row in rows:
        tokens[row.rollout_id] += len(row.logprobs)
    return tokens


@pytest.fixture
def moved(first, load):
    """Not the first checkpoint any more, so that a divergence from it is to be seen."""
    import torch

    model = load(first).requires_grad_(requires_grad=True)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1.1)
    return model


@pytest.fixture(scope="session")
def agree():
    """Whether a loss and its gradient are those of another: to 1e-6, and to 1e-5 of the largest in it."""
    import torch

    def compare(one, other):
        assert one[0] == pytest.approx(other[0], rel=1e-6)
        torch.testing.assert_close(one[1], other[1], rtol=0, atol=1e-5 * float(other[1].abs().max()))

    return compare
