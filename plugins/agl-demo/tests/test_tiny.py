"""The small model's folder: any loader opens it, and what it says is what it will read."""

from __future__ import annotations

import json

import pytest
from agl_demo._tiny import EOS, build
from agl_demo._warm_start import Recipe, demonstrations
from hypothesis import given, settings
from hypothesis import strategies as st

TOOLS = [
    {"type": "function", "function": {"name": "calculator", "parameters": {"type": "object", "properties": {}}}},
]


@pytest.fixture(scope="module")
def transcripts():
    """Some demonstrations that the tokenizer did not see."""
    return list(demonstrations(7, Recipe(demonstrations=50)))


def rendered(words, messages, *, ask=False):
    """The conversation as text."""
    return words.apply_chat_template(messages, tools=TOOLS, tokenize=False, add_generation_prompt=ask)


def test_a_conversation_is_its_tokens_and_back(words, transcripts):
    """Nothing is lost in the vocabulary."""
    for transcript in transcripts:
        text = rendered(words, transcript)

        assert words.decode(words(text)["input_ids"]) == text


@settings(deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_can_be_written(words, text):
    """Bytes are the last resort of the vocabulary."""
    assert words.decode(words(text)["input_ids"]) == text


def test_what_was_said_is_the_start_of_the_next_prompt_token_for_token(words, transcripts):
    """A trajectory of several turns is one sequence, without a seam."""
    for transcript in transcripts:
        for turn in (1, 3):
            prompt = words(rendered(words, transcript[:turn], ask=True))["input_ids"]
            whole = words(rendered(words, transcript[: turn + 1]))["input_ids"]
            reply = whole[len(prompt) :]

            assert whole[: len(prompt)] == prompt
            assert words.decode(reply).endswith(f"{EOS}\n")


def test_arguments_may_be_a_string_or_an_object(words, transcripts):
    """The SDK sends a string; some callers send what it holds."""
    transcript = transcripts[0]
    call = transcript[1]["tool_calls"][0]
    arguments = json.loads(call["function"]["arguments"])
    parsed = {**call, "function": {**call["function"], "arguments": arguments}}
    other = [transcript[0], {**transcript[1], "tool_calls": [parsed]}, *transcript[2:]]

    assert rendered(words, other) == rendered(words, transcript)


def test_a_call_in_the_models_words_is_what_the_template_renders(words, transcripts):
    """The tags survive a decoder that skips special tokens, and hold the call's JSON."""
    transcript = transcripts[0]
    prompt = rendered(words, transcript[:1], ask=True)
    ids = words(rendered(words, transcript[:2])[len(prompt) :])["input_ids"]

    text = words.decode(ids, skip_special_tokens=True)

    arguments = transcript[1]["tool_calls"][0]["function"]["arguments"]
    call = f'{{"name": "calculator", "arguments": {arguments}}}'
    assert text == f"<tool_call>{call}</tool_call>\n"


def test_a_call_costs_few_tokens_and_a_digit_exactly_one(words):
    """Every token is a step of the model."""
    ids = words('<tool_call>{"name": "calculator", "arguments": {"expression": "12 + 345"}}</tool_call>')["input_ids"]

    assert [words.decode(token) for token in ids] == [
        "<tool_call>",
        '{"name": "calculator", "arguments": {"expression": "',
        *"12",
        " + ",
        *"345",
        '"}}',
        "</tool_call>",
    ]


def test_parts_of_content_and_no_tools_are_rendered_too(words):
    """The template takes what an OpenAI client may send."""
    parts = [{"type": "text", "text": "How "}, {"type": "text", "text": "many?"}]

    text = words.apply_chat_template([{"role": "user", "content": parts}], tokenize=False, add_generation_prompt=True)

    assert text == "<|im_start|>user\nHow many?<|im_end|>\n<|im_start|>assistant\n"


def test_the_same_seed_writes_the_same_bytes(tmp_path, folder):
    """Its checkpoint has the same hash on every machine that draws the same numbers."""
    again = build(tmp_path / "again", seed=0)
    other = build(tmp_path / "other", seed=1)

    weights = [(place / "model.safetensors").read_bytes() for place in (folder, again, other)]
    assert weights[0] == weights[1] != weights[2]
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (folder / name).read_bytes() == (again / name).read_bytes()


def test_the_model_ends_its_turn_with_the_tokenizers_end(folder, words):
    """One end-of-turn token, known to config, generation config and tokenizer."""
    for name in ("config.json", "generation_config.json"):
        assert json.loads((folder / name).read_text())["eos_token_id"] == words.eos_token_id
    assert words.eos_token == EOS
