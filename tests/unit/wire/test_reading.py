"""An answer that is read leanly says the same, to the log and to whoever asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.wire import DIALECTS, json_object, openai_chat

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1, 1) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
LOGPROB = st.floats(-30, 0) | st.integers(-3, 0)


@st.composite
def choices(draw: st.DrawFn) -> dict[str, Any]:
    """As vLLM answers: as many log-probabilities as token ids, or none."""
    count = draw(st.integers(0, 4))
    entry = st.fixed_dictionaries(
        {"token": st.text(max_size=3), "logprob": LOGPROB},
        optional={"bytes": st.lists(st.integers(0, 255), max_size=2), "top_logprobs": st.just([])},
    )
    content = st.lists(entry, min_size=count, max_size=count)
    return draw(
        st.fixed_dictionaries(
            {"index": st.integers(0, 3), "token_ids": st.lists(st.integers(0, 9), min_size=count, max_size=count)},
            optional={
                "message": st.fixed_dictionaries({"role": st.just("assistant"), "content": st.text(max_size=5)}) | JSON,
                "logprobs": st.fixed_dictionaries({"content": content | st.none()}) | st.none() | JSON,
                "finish_reason": st.just("stop") | JSON,
                "stop_reason": JSON,
            },
        )
    )


BODIES = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just("chatcmpl-1") | JSON,
        "choices": st.lists(choices() | JSON, max_size=2) | JSON,
        "prompt_token_ids": st.lists(st.integers(0, 9), max_size=4) | JSON,
        "usage": st.just({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}) | JSON,
        "anything": JSON,
    },
)
ASKED = st.fixed_dictionaries({"model": st.just("m")}, optional={"return_token_ids": st.booleans()})


@given(BODIES, ASKED)
def test_what_is_recorded_and_what_is_shown_are_the_same(body: dict[str, Any], asked: dict[str, Any]):
    """Whatever a server answers, in the order it answers it."""
    raw = json.dumps(body).encode()
    call = openai_chat.request(asked)

    lean, whole = openai_chat.read(raw, asked), json_object(raw)

    assert repr(openai_chat.response(call, lean)) == repr(openai_chat.response(call, whole))
    assert json.dumps(openai_chat.strip_capture(lean, asked)) == json.dumps(openai_chat.strip_capture(whole, asked))


@given(BODIES)
def test_who_asks_for_log_probabilities_has_all_of_them(body: dict[str, Any]):
    """Their tokens, their bytes, and what else might have been."""
    raw = json.dumps(body).encode()

    assert openai_chat.read(raw, {"logprobs": True}) == json_object(raw)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"choices": [}', b"\xff", b'"text"', b"[" * 100_000])
def test_what_is_no_object_is_refused(dialect: Any, raw: bytes):
    """With one error, for all that may be wrong."""
    with pytest.raises(ValueError, match=r"\S"):
        dialect.read(raw, {})
