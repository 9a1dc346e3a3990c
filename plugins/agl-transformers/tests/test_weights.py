"""New weights in a running engine: whole models, adapters, and what does not fit."""

from __future__ import annotations

import asyncio
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from agl_core.engine import Checkpoint
from agl_core.errors import EngineFailed, ModelNotFound


def _checkpoint(folder, base=None):
    return Checkpoint(digest="b2:test", folder=folder, base=base)


def _load(served, folder, *, version, base=None):
    asyncio.run(served.engine.load(_checkpoint(folder, base), version=version))


def _said(served, **given):
    answer = served.ask(temperature=0, **given)
    return answer.choices[0].token_ids, answer.policy_version


@pytest.fixture(scope="module")
def other(build):
    """Another model of the same shape."""
    return build(seed=1)


@pytest.fixture(scope="module")
def adapter(folder, tmp_path_factory):
    """LoRA with random weights on attention and on the feed-forward layers."""
    torch.manual_seed(2)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], init_lora_weights=False)
    target = tmp_path_factory.mktemp("adapter")
    get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config).save_pretrained(target)
    return target


def test_a_load_changes_answers_and_their_version(serve, folder, other):
    """To what an engine opened on that folder says; and back."""
    served = serve(folder)
    first = _said(served)

    _load(served, other, version=7)
    second = _said(served)
    _load(served, folder, version=8)

    assert first[1] == 0
    assert second == (_said(serve(other))[0], 7)
    assert _said(served) == (first[0], 8)


def test_an_adapter_answers_as_pefts_own_merged_model(serve, folder, adapter):
    """The log-probabilities agree, so a trainer may rely on them."""
    served = serve(folder)
    merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), adapter).merge_and_unload().eval()

    _load(served, adapter, version=1, base=folder)
    answer = served.ask(max_tokens=30)

    ids = torch.tensor([answer.prompt_token_ids + answer.choices[0].token_ids])
    with torch.inference_mode():
        expected = merged(ids).logits[0, len(answer.prompt_token_ids) - 1 : -1].log_softmax(-1)
    chosen = expected.gather(1, torch.tensor(answer.choices[0].token_ids).unsqueeze(1)).squeeze(1)
    reported = torch.tensor([entry.logprob for entry in answer.choices[0].logprobs.content])
    torch.testing.assert_close(reported, chosen, atol=1e-4, rtol=1e-4)


def test_an_adapter_leaves_with_the_next_load(serve, folder, adapter, other):
    """Adapters do not add up, and a base that was replaced comes back under its adapter."""
    served = serve(folder)
    plain, _ = _said(served)
    _load(served, adapter, version=1, base=folder)
    adapted, _ = _said(served)

    _load(served, adapter, version=2, base=folder)
    twice, _ = _said(served)
    _load(served, other, version=3)
    _load(served, adapter, version=4)
    returned, _ = _said(served)
    _load(served, folder, version=5)

    assert adapted != plain
    assert twice == adapted
    assert returned == adapted
    assert _said(served)[0] == plain


def test_an_adapter_on_another_base_brings_it_along(serve, folder, adapter, other):
    """The base named by the checkpoint is the one it speaks with."""
    served, at_home = serve(folder), serve(other)

    _load(served, adapter, version=1, base=other)
    _load(at_home, adapter, version=1, base=other)

    assert _said(served)[0] == _said(at_home)[0]


def test_a_checkpoint_that_does_not_fit_changes_nothing(serve, folder, build, adapter, tmp_path):
    """Other shapes, lost tensors, another kind of adapter, no folder: refused before the first byte is copied."""
    served = serve(folder)
    before = _said(served)
    lacking, odd = tmp_path / "lacking", tmp_path / "odd"
    shutil.copytree(folder, lacking)
    tensors = load_file(lacking / "model.safetensors")
    tensors.pop("model.norm.weight")
    save_file(tensors, lacking / "model.safetensors", metadata={"format": "pt"})
    shutil.copytree(adapter, odd)
    config = odd / "adapter_config.json"
    config.write_text(config.read_text().replace('"use_dora": false', '"use_dora": true'))

    for bad in (build(hidden_size=64), lacking, odd):
        with pytest.raises(EngineFailed, match="does not fit"):
            _load(served, bad, version=9)
    with pytest.raises(ModelNotFound):
        _load(served, tmp_path / "nowhere", version=9)

    assert _said(served) == before


def test_tied_weights_are_stored_once(serve, build):
    """Their second name is not missing."""
    first, second = (build(seed=seed, tie_word_embeddings=True) for seed in (3, 4))
    served = serve(first)

    _load(served, second, version=1)

    assert _said(served) == (_said(serve(second))[0], 1)


def test_an_answer_has_one_version_while_weights_change(serve, folder, other):
    """Every answer is the old weights' or the new ones', whole, and says which."""
    served, reference = serve(folder), serve(other)
    prompts = [f"prompt {number}" for number in range(24)]
    old = {prompt: served.ask(prompt, temperature=0).choices[0].token_ids for prompt in prompts}
    new = {prompt: reference.ask(prompt, temperature=0).choices[0].token_ids for prompt in prompts}
    expected = {0: old, 1: new, 2: old, 3: new}

    with ThreadPoolExecutor(12) as pool:
        asked = [(prompt, pool.submit(served.ask, prompt, temperature=0)) for prompt in prompts * 3]
        for version in (1, 2, 3):
            _load(served, other if version % 2 else folder, version=version)
        answers = [(prompt, answer.result()) for prompt, answer in asked]

    assert all(answer.choices[0].token_ids == expected[answer.policy_version][prompt] for prompt, answer in answers)
    assert served.ask().policy_version == 3
