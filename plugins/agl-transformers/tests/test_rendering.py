"""The turns of a conversation are one sequence of ids: what was sampled is what the next prompt holds."""

from __future__ import annotations

import json

import pytest
from agl_transformers._dialects import Hermes
from agl_transformers._rendering import Renderer
from agl_transformers._template import Template
from hypothesis import given, settings
from hypothesis import strategies as st

TOOLS = ({"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}},)

_words = st.text(st.characters(codec="utf-8"), max_size=8)
_followups = st.lists(
    st.builds(lambda role, content: {"role": role, "content": content}, st.sampled_from(["user", "tool"]), _words),
    min_size=1,
    max_size=2,
)
_calls = st.lists(
    st.builds(
        lambda number, name, arguments: {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        },
        st.integers(0, 99),
        st.sampled_from(["add", "take"]),
        st.dictionaries(_words, st.integers()),
    ),
    max_size=2,
)
_turns = st.lists(
    st.tuples(_followups, st.lists(st.integers(0, 255), max_size=12), st.booleans(), _calls), min_size=1, max_size=4
)


@pytest.fixture(scope="module")
def template(tokenizer):
    """The template of the test model."""
    return Template(tokenizer, Hermes(), ends=frozenset([tokenizer.eos_token_id]), url="transformers:/test")


@given(turns=_turns, tools=st.sampled_from([(), TOOLS]))
@settings(deadline=None)
def test_a_prompt_starts_with_the_prompt_and_the_ids_before_it(template, tokenizer, turns, tools):
    """For any replies, in any tokenisation, ended or cut off, with or without calls."""
    renderer = Renderer(template)
    messages, before = [], ()
    for said, sampled, is_ended, calls in turns:
        ids = [*sampled, tokenizer.eos_token_id] if is_ended or not sampled else sampled
        messages = [*messages, *said]

        prompt = renderer.prompt(messages, tools)

        assert tuple(prompt.ids[: len(before)]) == before
        reply = {"role": "assistant", "content": template.text_of(ids), **({"tool_calls": calls} if calls else {})}
        renderer.remember(prompt, reply, ids)
        before = (*prompt.ids, *ids)
        messages = [*messages, reply]


@given(turns=_turns, tools=st.sampled_from([(), TOOLS]))
@settings(deadline=None)
def test_a_conversation_nobody_sampled_is_rendered_by_the_template(template, tokenizer, turns, tools):
    """Replies that came from elsewhere are rendered as text."""
    messages = [message for said, _, _, calls in turns for message in (*said, _reply(calls))][:-1]

    prompt = Renderer(template).prompt(messages, tools)

    text = tokenizer.apply_chat_template(
        messages, tools=list(tools) or None, tokenize=False, add_generation_prompt=True
    )
    assert list(prompt.ids) == tokenizer.encode(text, add_special_tokens=False)


def test_a_spliced_prompt_reads_as_the_template_writes_it(template, tokenizer):
    """The ids may differ, the text does not: nothing is missing at the seam, and nothing is there twice."""
    renderer = Renderer(template)
    asked = [{"role": "user", "content": "hi"}]
    prompt = renderer.prompt(asked)

    for ids in ([5, 6, 7], [5, 6, 7, tokenizer.eos_token_id]):
        reply = {"role": "assistant", "content": template.text_of(ids)}
        renderer.remember(prompt, reply, ids)
        messages = [*asked, reply, {"role": "user", "content": "and then?"}]

        spliced = renderer.prompt(messages)

        assert tokenizer.decode(spliced.ids) == template.render(messages)


def test_a_reply_that_was_changed_is_rendered_afresh(template):
    """Sampled ids stand for what was said, and for nothing else."""
    renderer = Renderer(template)
    asked = [{"role": "user", "content": "hi"}]
    renderer.remember(renderer.prompt(asked), {"role": "assistant", "content": "yes"}, [1, 2, 3])
    messages = [*asked, {"role": "assistant", "content": "no"}, {"role": "user", "content": "?"}]

    prompt = renderer.prompt(messages)

    assert list(prompt.ids) == list(Renderer(template).prompt(messages).ids)


def test_the_oldest_sequences_are_forgotten(template):
    """Memory is bounded by ids, and what is forgotten is rendered as text."""
    renderer = Renderer(template, capacity=200)
    asked = [{"role": "user", "content": "hi"}]
    prompt = renderer.prompt(asked)

    for number in range(50):
        renderer.remember(prompt, {"role": "assistant", "content": str(number)}, [1, 2, 3])

    assert renderer.held <= 200
    said = {"role": "user", "content": "?"}
    oldest, newest = (
        renderer.prompt([*asked, {"role": "assistant", "content": reply}, said]).ids for reply in ("0", "49")
    )
    start = len(prompt.ids)
    assert list(newest[start : start + 3]) == [1, 2, 3]
    assert list(oldest[start : start + 3]) != [1, 2, 3]


def test_a_template_that_rewrites_old_turns_is_not_spliced(tokenizer):
    """A template may drop an old turn's words: then the conversation no longer starts with what was sampled."""
    original = tokenizer.chat_template
    tokenizer.chat_template = original.replace(
        "+ message.content", "+ (message.content if loop.last or message.role != 'assistant' else '...')"
    )
    try:
        renderer = Renderer(Template(tokenizer, Hermes(), ends=frozenset(), url="transformers:/test"))
        asked = [{"role": "user", "content": "hi"}]
        renderer.remember(renderer.prompt(asked), {"role": "assistant", "content": "yes"}, [1, 2, 3])

        prompt = renderer.prompt([*asked, {"role": "assistant", "content": "yes"}, {"role": "user", "content": "?"}])

        assert "..." in tokenizer.decode(prompt.ids)
    finally:
        tokenizer.chat_template = original


def test_a_template_without_tools_gets_them_as_text(tokenizer):
    """Tools in a system message, calls in the content: any chat model can be asked."""
    original = tokenizer.chat_template
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role + '\\n' + m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    try:
        template = Template(tokenizer, Hermes(), ends=frozenset(), url="transformers:/test")
        call = {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}

        text = template.render(
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "1+1"},
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "a", "content": "2"},
            ],
            TOOLS,
        )
    finally:
        tokenizer.chat_template = original

    assert text.startswith("<|im_start|>system\nBe brief.\n\nYou may call")
    assert '<tool_call>\n{"name": "add", "arguments": {"a":1}}\n</tool_call>' in text


def test_a_template_that_wants_parsed_arguments_gets_them(tokenizer):
    """Most templates of the hub write `arguments | tojson`: a string would be quoted twice."""
    original = tokenizer.chat_template
    tokenizer.chat_template = original.replace("+ call.function.arguments +", "+ (call.function.arguments | tojson) +")
    try:
        template = Template(tokenizer, Hermes(), ends=frozenset(), url="transformers:/test")

        text = template.render([{"role": "user", "content": "1+1"}, _reply([_call('{"a": 1}')])], ask=False)
    finally:
        tokenizer.chat_template = original

    assert '"arguments": {"a": 1}}' in text


def test_a_chat_served_over_http_is_one_sequence(served):
    """Three turns through OpenAI's client, each handing back the message as it came."""
    messages = [{"role": "user", "content": "one"}]
    before = []
    for turn in range(3):
        answer = served.ask(messages, seed=turn, tools=list(TOOLS))
        assert answer.prompt_token_ids[: len(before)] == before
        before = answer.prompt_token_ids + answer.choices[0].token_ids
        reply = answer.choices[0].message.model_dump(exclude_none=True)
        messages = [*messages, reply, {"role": "user", "content": f"more {turn}"}]


def _reply(calls):
    return {"role": "assistant", "content": "", **({"tool_calls": calls} if calls else {})}


def _call(arguments):
    return {"id": "a", "type": "function", "function": {"name": "add", "arguments": arguments}}
