"""What a client of OpenAI's gets."""

from __future__ import annotations

import httpx
import openai
import pytest

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


def test_the_endpoint_says_what_it_can_do(served):
    """Length, ids, logprobs and dialect are told before the first request."""
    endpoint = served.endpoint

    assert endpoint.url.startswith("http://127.0.0.1:")
    assert endpoint.url.endswith("/v1")
    assert (endpoint.model, endpoint.max_len, endpoint.token_ids) == ("policy", 256, True)
    assert (endpoint.logprobs_mode, endpoint.tools) == ("processed", "hermes")


def test_an_answer_has_the_shape_clients_know(served):
    """Role, content, finish reason and usage, and the version of the weights."""
    answer = served.ask()

    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason in {"stop", "length"}
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.policy_version == 0


def test_ids_are_the_templates_and_the_sampled_ones(served, plain):
    """`prompt_token_ids` is what the chat template renders; every id counts once in `usage`, and has a logprob."""
    _, tokenizer = plain

    answer = served.ask("hi")

    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], add_generation_prompt=True, return_dict=False
    )
    assert answer.prompt_token_ids == rendered
    assert len(answer.choices[0].token_ids) == answer.usage.completion_tokens
    assert len(answer.choices[0].logprobs.content) == answer.usage.completion_tokens


def test_ids_and_logprobs_come_only_when_asked_for(served):
    """A plain request gets a plain answer."""
    answer = served.client.chat.completions.create(
        model="policy", messages=[{"role": "user", "content": "hi"}], max_tokens=2
    )

    assert answer.choices[0].logprobs is None
    assert not hasattr(answer, "prompt_token_ids")
    assert not hasattr(answer.choices[0], "token_ids")


def test_bytes_of_logprobs_spell_the_answer(served):
    """A character that is spread over tokens has its bytes on them, so that joined they are the text."""
    answer = served.ask(seed=4)

    said = [entry for entry in answer.choices[0].logprobs.content if not entry.token.startswith("<|")]
    spelled = b"".join(bytes(entry.bytes) for entry in said)
    assert answer.choices[0].message.content == spelled.decode(errors="replace")


def test_an_answer_ends_at_max_tokens(served):
    """Either name of the limit is understood."""
    short = served.ask(max_tokens=3)
    named = served.ask(max_tokens=None, extra_body={"max_completion_tokens": 3})

    assert short.choices[0].finish_reason == "length"
    assert short.choices[0].token_ids == named.choices[0].token_ids
    assert len(short.choices[0].token_ids) == 3


def test_an_answer_ends_where_the_context_does(served):
    """What is left of the context bounds an answer that asks for more."""
    answer = served.ask("x" * 200, max_tokens=4000, logit_bias=None)

    used = len(answer.prompt_token_ids) + len(answer.choices[0].token_ids)
    assert used <= served.endpoint.max_len


def test_an_answer_ends_before_a_stop_string(served):
    """The string is not in the content; the ids that spelled it are in `token_ids`."""
    whole = served.ask(seed=9).choices[0]
    stop = next(text for entry in whole.logprobs.content[3:] if (text := entry.token).isprintable() and text != "�")

    cut = served.ask(seed=9, stop=stop).choices[0]

    assert cut.finish_reason == "stop"
    assert cut.message.content == whole.message.content.partition(stop)[0]
    assert cut.token_ids == whole.token_ids[: len(cut.token_ids)]


def test_n_choices_are_drawn_apart(served):
    """Each choice has noise of its own, and all are the same again for the same seed."""
    first = served.ask(n=4, seed=3)
    again = served.ask(n=4, seed=3)

    ids = [choice.token_ids for choice in first.choices]
    assert [choice.index for choice in first.choices] == [0, 1, 2, 3]
    assert len({tuple(each) for each in ids}) == 4
    assert ids == [choice.token_ids for choice in again.choices]


def test_a_stream_tells_what_an_answer_tells(served):
    """Server-sent events with content, finish reason and, when asked for, usage."""
    whole = served.ask(seed=5)

    chunks = list(served.ask(seed=5, stream=True, stream_options={"include_usage": True}))

    deltas = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in deltas) == whole.choices[0].message.content
    assert deltas[-1].finish_reason == whole.choices[0].finish_reason
    assert chunks[-1].usage == whole.usage


def test_models_and_health_are_served(served):
    """A client finds the name to ask for."""
    health = httpx.get(served.endpoint.url.removesuffix("/v1") + "/health", headers=served.headers)

    assert [model.id for model in served.client.models.list()] == ["policy"]
    assert health.status_code == 200


def test_a_prompt_that_leaves_no_room_is_refused(served):
    """400 before anything is computed: the prompt and one token must fit."""
    with pytest.raises(openai.BadRequestError) as refusal:
        served.ask("x" * 300)

    assert refusal.value.code == "context_length_exceeded"


def test_another_model_is_not_found(served):
    """404, with the name that is served."""
    with pytest.raises(openai.NotFoundError, match="policy") as refusal:
        served.ask(model="gpt-4")

    assert refusal.value.code == "model_not_found"


@pytest.mark.parametrize(
    "given",
    [
        {"temperature": -1},
        {"top_p": 1.5},
        {"max_tokens": 0},
        {"n": 0},
        {"stop": ""},
        {"top_logprobs": 3},
        {"tool_choice": "required"},
        {"frequency_penalty": 0.5},
        {"response_format": {"type": "json_object"}},
        {"logit_bias": {"1": 3}},
        {"extra_body": {"min_p": 0.1}},
        {"tools": [{"type": "function"}]},
    ],
    ids=str,
)
def test_what_is_not_served_is_refused_by_name(served, given):
    """Nothing that would change the answer is ignored."""
    with pytest.raises(openai.BadRequestError) as refusal:
        served.ask(**given)

    assert refusal.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "oracle", "content": "hi"}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
        [{"role": "assistant", "content": None, "tool_calls": [{"id": "a"}]}],
    ],
    ids=str,
)
def test_messages_that_cannot_be_rendered_are_refused(served, messages):
    """A client's mistake is a 400, not a 500."""
    with pytest.raises(openai.BadRequestError):
        served.ask(messages)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": 3}', b'{"model": "policy"}'])
def test_a_malformed_body_is_refused_in_openais_shape(served, body):
    """Message, type and code, whatever was sent."""
    answer = httpx.post(f"{served.endpoint.url}/chat/completions", content=body, headers=served.headers)

    assert answer.status_code == 400
    assert {"message", "type", "code"} <= answer.json()["error"].keys()


def test_an_unknown_path_is_not_found(served):
    """404 in the same shape."""
    answer = httpx.post(f"{served.endpoint.url}/embeddings", content=b"{}", headers=served.headers)

    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_parts_of_text_are_read_as_text(served):
    """Content as parts is the same as their texts joined."""
    parts = [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]

    answer = served.ask([{"role": "user", "content": parts}])

    assert answer.prompt_token_ids == served.ask("hello").prompt_token_ids


def test_tools_are_rendered_unless_the_model_may_not_call(served):
    """`tool_choice="none"` is a request without tools."""
    offered = served.ask(tools=[TOOL])
    withheld = served.ask(tools=[TOOL], tool_choice="none")

    assert len(offered.prompt_token_ids) > len(withheld.prompt_token_ids)
    assert withheld.prompt_token_ids == served.ask().prompt_token_ids


def test_only_the_gateway_of_the_process_is_answered(served):
    """Whoever else is on this machine has no key, and gets no tokens."""
    answer = httpx.post(f"{served.endpoint.url}/chat/completions", json={"model": "policy", "messages": []})

    assert answer.status_code == 401
