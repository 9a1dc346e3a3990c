"""A streamed answer comes while it is written, and is the answer that comes in one piece."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import accumulate
from threading import Event, Semaphore

import httpx
import openai
import pytest
from agl_transformers._decoding import Decoder
from agl_transformers._dialects import Hermes
from agl_transformers._generation import Generation, Sampling
from agl_transformers._rendering import Prompt
from agl_transformers._replies import Writer
from agl_transformers._requests import ChatRequest
from agl_transformers._streams import Stream
from agl_transformers._template import Template
from agl_transformers._words import Words
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from agl_core.wire import openai_chat
from agl_core.wire.sse import Events

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
CALL = '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'
PROMPT = Prompt(ids=[1, 2, 3], digest=b"")

_pieces = st.sampled_from(
    [
        "a",
        "b",
        "ab",
        " ",
        "\n",
        "é",
        "漢字",
        "🙂",
        "👨‍👩‍👧",
        "\ufffd",
        "stop",
        "<",
        "<tool_",
        "<tool_call>",
        CALL,
        "</tool_call>",
    ]
)
_texts = st.lists(_pieces | st.characters(codec="utf-8"), max_size=12).map("".join)


@pytest.fixture(scope="module")
def writer(tokenizer):
    """Of the test model."""
    template = Template(tokenizer, Hermes(), ends=frozenset([tokenizer.eos_token_id]), url="transformers:/test")
    return Writer(template, Hermes(), model="policy")


def _request(*, offers=False, **given):
    tools = [TOOL] if offers else None
    wanted = {"stream": True, "stream_options": {"include_usage": True}, "return_token_ids": True, "logprobs": True}
    return ChatRequest(model="policy", messages=[], tools=tools, **wanted, **given)


def _generation(prompt=PROMPT.ids):
    return Generation(prompt=prompt, sampling=Sampling(seed=0), limit=1000)


def _joined(raw):
    """The answer that the gateway makes of these events."""
    assembly = openai_chat.assembly({})
    for event in Events().feed(raw):
        assembly.add(event)
    assert assembly.is_whole
    return _comparable(assembly.body())


def _comparable(reply):
    """Without what differs between two answers that say the same."""
    calls = [call for choice in reply["choices"] for call in choice["message"].get("tool_calls", [])]
    for call in calls:
        call["id"] = "call"
    return {key: value for key, value in reply.items() if key not in ("id", "created")}


@given(
    text=_texts,
    noise=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=3),
    steps=st.lists(st.integers(1, 5), max_size=40),
    stops=st.sampled_from([(), ("stop",), ("ab", "b"), ("🙂",), ("aba", "字")]),
    offers=st.booleans(),
    is_ended=st.booleans(),
)
@example(text="🙂" * 3, noise=[], steps=[1] * 12, stops=(), offers=False, is_ended=True)
@example(text=f" \n{CALL}", noise=[], steps=[1] * 60, stops=(), offers=True, is_ended=True)
@example(text=f"so {CALL} and", noise=[], steps=[1] * 60, stops=(), offers=True, is_ended=False)
@example(text="", noise=[], steps=[], stops=(), offers=True, is_ended=True)
@settings(deadline=None)
def test_chunks_joined_are_the_answer(writer, tokenizer, text, noise, steps, stops, offers, is_ended):
    """For any bytes, written in any steps, with stop strings and tool calls; and nothing told is taken back."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    for place, byte in noise:
        ids.insert(min(place, len(ids)), byte)
    ids += [tokenizer.eos_token_id] if is_ended or not ids else []
    request = _request(offers=offers, stop=list(stops))
    row, remembered = _generation(), []
    stream = Stream(writer, request, PROMPT, [row], ended=lambda message, _: remembered.append(message))

    raw = b""
    for end in [*(each for each in accumulate(steps) if each < len(ids)), len(ids)]:
        row.tokens[len(row.tokens) :] = ids[len(row.tokens) : end]
        row.logprobs[len(row.logprobs) :] = [-0.5 - at for at in range(len(row.logprobs), end)]
        row.finish = ("stop" if is_ended else "length") if end == len(ids) else None
        raw += b"".join(stream.more())
    raw += b"".join(stream.end())

    assert _joined(raw) == _comparable(writer.reply(request, PROMPT, [row]))
    assert len(remembered) == 1


def test_half_a_character_is_held_back(writer, tokenizer):
    """It is told with the byte that makes it whole; its ids are told when they are written."""
    row = _generation()
    stream = Stream(writer, _request(), PROMPT, [row], ended=lambda *_: None)

    steps = [_step(stream, row, token) for token in tokenizer.encode("a🙂b", add_special_tokens=False)]

    assert [content for content, _ in steps] == ["a", "", "", "", "🙂", "b"]
    assert [ids for _, ids in steps] == [[token] for token in row.tokens]


def test_what_may_begin_a_stop_string_is_held_back(writer, tokenizer):
    """Text goes on as soon as it cannot be one any more."""
    row = _generation()
    request = ChatRequest(model="policy", messages=[], stream=True, stop=["stop"])
    stream = Stream(writer, request, PROMPT, [row], ended=lambda *_: None)

    steps = [_step(stream, row, token) for token in tokenizer.encode("a stone", add_special_tokens=False)]

    assert [content for content, _ in steps] == ["a", " ", "", "", "", "ston", "e"]


def _step(stream, row, token):
    """Text and ids that are told after one more token."""
    row.tokens.append(token)
    row.logprobs.append(-1.0)
    chunks = [event.json() for event in Events().feed(b"".join(stream.more()))]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    content = "".join(choice["delta"].get("content", "") for choice in choices)
    return content, [each for choice in choices for each in choice.get("token_ids", ())]


def test_the_answer_is_not_decoded_anew_at_each_step(writer, tokenizer, monkeypatch):
    """A long answer costs as much a token as a short one."""
    sizes = []
    decode = writer.template.text_of
    monkeypatch.setattr(writer.template, "text_of", lambda ids: sizes.append(len(ids)) or decode(ids))
    words, ids = Words(writer.template), tokenizer.encode("漢字 and 🙂 " * 50, add_special_tokens=False)

    text = "".join(words.more(ids, end) for end in range(1, len(ids) + 1))

    assert text == "漢字 and 🙂 " * 50
    assert max(sizes) <= 8


@given(ids=st.lists(st.integers(0, 262), max_size=30))
@settings(deadline=None)
def test_words_of_a_vocabulary_that_falls_back_to_bytes_are_not_taken_back(spelled, ids):
    """Where a row of bytes that is no text is no text as a whole, nothing of the row is told before it ends."""
    words = Words(spelled)

    text = "".join(words.more(ids, end) for end in range(1, len(ids) + 1))

    assert spelled.text_of(ids).startswith(text)


@pytest.fixture(scope="module")
def spelled():
    """As of Llama 2: words with a mark for the space before them, and bytes for all else."""
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(256)}
    for token in ("<end>", "▁", "a", "▁a", "b", "▁b", "漢"):
        vocabulary[token] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    fast.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    return Template(fast, Hermes(), ends=frozenset([256]), url="transformers:/test")


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"n": 3},
        {"n": 3, "stop": ["e", "\n"], "max_tokens": 60},
        {"max_tokens": 1},
        {"max_tokens": 200, "temperature": 0.0},
        {"tools": [TOOL], "max_tokens": 60},
        {"logprobs": False, "extra_body": {"return_token_ids": False}},
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", range(4))
def test_a_stream_says_what_an_answer_says(served, seed, given):
    """Words, ids, log-probabilities, ends, usage and version, of every choice."""
    content = ["hello", "漢字", "🙂🙂", "a b c"][seed]
    whole = served.ask(content, seed=seed, **given)

    with served.client.chat.completions.with_streaming_response.create(
        **_asked(content, seed=seed, **given), stream=True, stream_options={"include_usage": True}
    ) as answer:
        raw = answer.read()

    assert _joined(raw) == _comparable(whole.model_dump(exclude_unset=True))


def _asked(content, **given):
    """As `served.ask` asks."""
    messages = [{"role": "user", "content": content}]
    body = {"return_token_ids": True, **given.pop("extra_body", {})}
    return {"model": "policy", "max_tokens": 16, "logprobs": True, "messages": messages, "extra_body": body, **given}


class Steps:
    """Lets the decoder take one step after the other; the first of a batch is free."""

    def __init__(self):
        self.may_step, self.has_ended, self.batches = Semaphore(0), Event(), []
        self.breaks = False

    def taken(self, write, batch):
        """`Decoder.write`, waiting after each step until it may go on."""
        self.batches.append(batch)
        for finished in write(batch):
            yield finished
            self.may_step.acquire()
            if self.breaks:
                raise ValueError("out of memory")
        self.has_ended.set()


@pytest.fixture
def steps(served, monkeypatch):
    """Of the engine `served`."""
    held, write = Steps(), Decoder.write
    monkeypatch.setattr(Decoder, "write", lambda self, batch: held.taken(lambda rows: write(self, rows), batch))
    yield held
    held.may_step.release(10_000)


@contextmanager
def _streamed(served, **given):
    with served.ask(stream=True, **given) as stream:
        yield iter(stream)


def test_the_first_words_come_before_the_last_are_written(served, steps):
    """One step of the decoder, one chunk at the client; the prompt's ids come once, with the first."""
    with _streamed(served, max_tokens=3, temperature=0.0) as chunks:
        first, second = next(chunks), next(chunks)

        assert len(steps.batches[0][0].tokens) == 1
        assert steps.batches[0][0].finish is None
        steps.may_step.release(3)
        rest = list(chunks)

    assert first.choices[0].delta.role == "assistant"
    assert first.prompt_token_ids == list(steps.batches[0][0].prompt)
    assert len(second.choices[0].token_ids) == len(second.choices[0].logprobs.content) == 1
    assert not any(hasattr(chunk, "prompt_token_ids") for chunk in (second, *rest))
    assert {chunk.policy_version for chunk in (first, second, *rest)} == {0}


def test_choices_are_told_side_by_side(served, steps):
    """All of them begin before one has ended."""
    with _streamed(served, n=3, max_tokens=2) as chunks:
        begun = [next(chunks).choices[0].index for _ in range(6)]
        steps.may_step.release(2)
        ends = [chunk.choices[0].finish_reason for chunk in chunks]

    assert begun == [0, 0, 1, 1, 2, 2]
    assert len([end for end in ends if end]) == 3


def test_who_hangs_up_frees_the_place_in_the_batch(served, steps):
    """The answer is not written to its end, and the next one is."""
    with _streamed(served, max_tokens=200, temperature=0.0) as chunks:
        next(chunks)
    (row,) = steps.batches[0]
    health = served.endpoint.url.removesuffix("/v1") + "/health"
    for _ in range(1000):  # each is a turn of the server's loop, which sees the closed line in one of them
        httpx.get(health, headers=served.headers)
        if row.is_abandoned:
            break

    steps.may_step.release(10_000)

    assert steps.has_ended.wait(60)
    assert len(row.tokens) == 2
    assert served.ask().choices[0].finish_reason


def test_a_failure_in_the_middle_is_an_event_and_the_end(served, steps):
    """The status is sent already; clients of OpenAI's raise on the event, and the mark of the end does not come."""
    steps.breaks = True
    url = f"{served.endpoint.url}/chat/completions"
    with httpx.stream("POST", url, json=_body(max_tokens=5), headers=served.headers) as answer:
        pieces = answer.iter_raw()
        raw = next(pieces)
        steps.may_step.release()
        raw += b"".join(pieces)

    *told, last = [event.json() for event in Events().feed(raw)]
    assert answer.status_code == 200
    assert all("choices" in chunk for chunk in told)
    assert told
    assert last["error"]["code"] == "engine_failed"
    assert "out of memory" in last["error"]["message"]


def test_clients_raise_on_a_failure_in_the_middle(served, steps):
    """OpenAI's own does."""
    steps.breaks = True
    with _streamed(served, max_tokens=5) as chunks:
        next(chunks)
        steps.may_step.release()

        with pytest.raises(openai.APIError, match="out of memory"):
            list(chunks)


def test_a_stream_that_cannot_begin_is_refused_with_a_status(served, monkeypatch):
    """Nothing was sent, so a failure is an answer like any other."""
    monkeypatch.setattr(Decoder, "write", lambda _self, _batch: iter([1 / 0]))
    with pytest.raises(openai.InternalServerError) as failed:
        served.ask(stream=True)
    with pytest.raises(openai.BadRequestError) as refused:
        served.ask("x" * 300, stream=True)

    assert failed.value.status_code == 503
    assert refused.value.code == "context_length_exceeded"


def test_a_chat_that_is_streamed_is_one_sequence(served):
    """Each next prompt starts with the ids that the stream told."""
    messages, before = [{"role": "user", "content": "one"}], []
    for turn in range(3):
        raw = httpx.post(
            f"{served.endpoint.url}/chat/completions",
            json=_body(messages=messages, seed=turn, tools=[TOOL]),
            headers=served.headers,
        ).content
        answer = _joined(raw)
        assert answer["prompt_token_ids"][: len(before)] == before
        before = answer["prompt_token_ids"] + answer["choices"][0]["token_ids"]
        messages = [*messages, answer["choices"][0]["message"], {"role": "user", "content": f"more {turn}"}]


def _body(**given):
    messages = [{"role": "user", "content": "hello"}]
    wanted = {"stream": True, "return_token_ids": True, "logprobs": True}
    return {"model": "policy", "messages": messages, "max_tokens": 16, **wanted, **given}
