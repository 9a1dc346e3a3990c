"""A scripted model's answers as OpenAI completions, with what vLLM adds to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from agl_core.testing._scripted_chat import CREATED, failure, in_turns, refused, top, usage
from agl_core.testing._scripted_http import event
from agl_core.testing._scripted_tokens import Sampled, sampled, token_text
from agl_core.testing._scripted_values import Answer, Said, count_in, object_in

__all__ = ["body", "events", "failure", "prompts", "prompts_in", "refused"]


def prompts(asked: Mapping[str, Any]) -> list[list[int]]:
    """Each prompt as tokens; `ValueError` says what is wrong with them."""
    return prompts_in(asked.get("prompt"), name="prompt")


def prompts_in(given: Any, *, name: str) -> list[list[int]]:
    """What is a text, or tokens, or a list of texts or of lists of tokens."""
    many = given if isinstance(given, list) and given and not _is_token(given[0]) else [given]
    found = []
    for one in many:
        if isinstance(one, str):
            found.append([*one.encode()])
        elif isinstance(one, list) and one and all(map(_is_token, one)):
            found.append(one)
        else:
            raise ValueError(f"`{name}` is a text, or tokens, or a list of them, and not empty")
    return found


def body(said: Said) -> dict[str, Any]:
    """The answer in one piece."""
    found = _samples(said)
    choices = [
        {
            "index": index,
            "text": sample.answer.text,
            "finish_reason": sample.finish_reason,
            **_tokens(said, index, sample.token_ids, sample.logprobs, is_first=True),
        }
        for index, sample in enumerate(found)
    ]
    return {**_base(said), "choices": choices, "usage": usage(said, found)}


def events(said: Said) -> Iterator[bytes]:
    """The answer as a stream."""
    found = _samples(said)
    with_usage = bool(object_in(said.asked.body, "stream_options").get("include_usage"))
    base: dict[str, Any] = {**_base(said), **({"usage": None} if with_usage else {})}
    offsets = [0] * len(found)
    begun: set[int] = set()
    for index, piece in in_turns(found):
        choice = {
            "index": index,
            "text": piece.text,
            "finish_reason": found[index].finish_reason if piece.kind == "end" else None,
            **_tokens(said, index, piece.token_ids, piece.logprobs, is_first=index not in begun, offset=offsets[index]),
        }
        begun.add(index)
        offsets[index] += sum(len(token_text(id_)) for id_ in piece.token_ids)
        yield event({**base, "choices": [choice]})
    if with_usage:
        yield event({**base, "choices": [], "usage": usage(said, found)})
    yield event("[DONE]")


def _samples(said: Said) -> list[Sampled]:
    """The choices for the first prompt, then those for the next."""
    answers = said.choices(_each(said) * len(said.prompts))
    limit = count_in(said.asked.body, "max_tokens")
    return [sampled(_plain(answer), index=index, limit=limit) for index, answer in enumerate(answers)]


def _each(said: Said) -> int:
    """Choices for each prompt."""
    return count_in(said.asked.body, "n") or 1


def _plain(answer: Answer) -> Answer:
    """What can be said in a completion: text."""
    if answer.refusal:
        return replace(answer, text=answer.text + answer.refusal, reasoning="", refusal="", tool_calls=(), pieces=None)
    return replace(answer, reasoning="", tool_calls=())


def _base(said: Said) -> dict[str, Any]:
    base = {"id": f"cmpl-{said.number}", "object": "text_completion", "created": CREATED, "model": said.model}
    return base if said.version is None else {**base, "policy_version": said.version}


def _tokens(
    said: Said, index: int, ids: Sequence[int], numbers: Sequence[float], *, is_first: bool, offset: int = 0
) -> dict[str, Any]:
    asked = said.asked.body
    told: dict[str, Any] = {"logprobs": None}
    if asked.get("logprobs") is not None:
        texts = [token_text(id_) for id_ in ids]
        told["logprobs"] = {
            "tokens": texts,
            "token_logprobs": list(numbers),
            "top_logprobs": [
                {token_text(other): likely for other, likely in top(id_, number, count_in(asked, "logprobs"))}
                for id_, number in zip(ids, numbers, strict=True)
            ],
            "text_offset": list(accumulate(map(len, texts[:-1]), initial=offset)) if texts else [],
        }
    if asked.get("return_token_ids"):
        told["token_ids"] = list(ids)
        if is_first:
            told["prompt_token_ids"] = list(said.prompts[index // _each(said)])
    return told


def _is_token(value: Any) -> bool:
    return type(value) is int
