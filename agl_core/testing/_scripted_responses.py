"""A scripted model's answers in OpenAI's responses API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agl_core.testing._scripted_chat import CREATED, likely, refused
from agl_core.testing._scripted_faults import Failing
from agl_core.testing._scripted_http import event
from agl_core.testing._scripted_tokens import Piece, Sampled, chat_prompt, sampled
from agl_core.testing._scripted_values import Said, count_in, object_in, text_of

__all__ = ["body", "events", "failure", "prompts", "refused"]

_Event = dict[str, Any]

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def prompts(asked: Mapping[str, Any]) -> list[list[int]]:
    """The input as the tokens of a chat; `ValueError` says what is wrong with it."""
    given = asked.get("input")
    if asked.get("previous_response_id"):
        raise ValueError("`previous_response_id` is of no response that was kept: send the whole input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given or not all(isinstance(item, dict) for item in given):
        raise ValueError("`input` is a text or a list of items, and not empty")
    chat: list[dict[str, Any]] = []
    if asked.get("instructions"):
        chat.append({"role": "system", "content": asked["instructions"]})
    for item in given:
        _add_turn(chat, item)
    return [chat_prompt(chat)]


def body(said: Said) -> dict[str, Any]:
    """The answer in one piece."""
    return _response(said, _sample(said))


def events(said: Said) -> Iterator[bytes]:
    """The answer as a stream."""
    for number, data in enumerate(_events(said)):
        yield _numbered(data, number)


def failure(said: Said, fault: Failing) -> Iterator[bytes]:
    """The error that a stream ends with, and the response that failed of it."""
    told = {"code": fault.code, "message": fault.message}
    response = {**_opened(_response(said, _sample(said))), "status": "failed", "error": told}
    yield _numbered({"type": "error", **told, "param": None}, fault.after)
    yield _numbered({"type": "response.failed", "response": response}, fault.after + 1)


def _add_turn(chat: list[dict[str, Any]], item: Mapping[str, Any]) -> None:
    """What a model said in one answer is one turn, as it was sampled."""
    turn: dict[str, Any]
    match item.get("type", "message"):
        case "reasoning":
            parts = item.get("content") or item.get("summary")
            turn = {"reasoning_content": text_of(parts)}
        case "function_call":
            function = {"name": item.get("name", ""), "arguments": item.get("arguments", "")}
            turn = {"tool_calls": [{"function": function}]}
        case "function_call_output":
            chat.append({"role": "tool", "content": text_of(item.get("output"))})
            return
        case "message" if item.get("role") == "assistant":
            turn = {"content": _spoken(item.get("content"))}
        case _:
            chat.append({"role": item.get("role", "user"), "content": text_of(item.get("content"))})
            return
    if not chat or chat[-1]["role"] != "assistant":
        chat.append({"role": "assistant", "content": ""})
    for name, value in turn.items():
        chat[-1][name] = chat[-1][name] + value if name in chat[-1] else value


def _spoken(content: Any) -> str:
    parts = content if isinstance(content, list) else [content]
    return "".join(
        part["refusal"] if isinstance(part, dict) and part.get("type") == "refusal" else text_of([part])
        for part in parts
    )


def _sample(said: Said) -> Sampled:
    return sampled(said.answers[0], limit=count_in(said.asked.body, "max_output_tokens"))


def _response(said: Said, sample: Sampled) -> dict[str, Any]:
    asked = said.asked.body
    reason = _INCOMPLETE.get(sample.finish_reason)
    response = {
        "id": f"resp_{said.number}",
        "object": "response",
        "created_at": CREATED,
        "status": "incomplete" if reason else "completed",
        "background": False,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "metadata": asked.get("metadata") or {},
        "model": said.model,
        "output": _output(said, sample),
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None, **object_in(asked, "reasoning")},
        "store": asked.get("store", True),
        "temperature": asked.get("temperature", 1.0),
        "text": asked.get("text") or {"format": {"type": "text"}},
        "tool_choice": asked.get("tool_choice", "auto"),
        "tools": asked.get("tools") or [],
        "top_p": asked.get("top_p", 1.0),
        "truncation": asked.get("truncation", "disabled"),
        "usage": _usage(said, sample),
        "user": asked.get("user"),
    }
    return response if said.version is None else {**response, "policy_version": said.version}


def _opened(response: Mapping[str, Any]) -> dict[str, Any]:
    """The response before anything was said."""
    return {**response, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}


def _output(said: Said, sample: Sampled) -> list[dict[str, Any]]:
    answer, number = sample.answer, said.number
    status = "incomplete" if sample.finish_reason in _INCOMPLETE else "completed"
    output: list[dict[str, Any]] = []
    if answer.reasoning:
        is_summary = bool(object_in(said.asked.body, "reasoning").get("summary"))
        part = {"type": "summary_text" if is_summary else "reasoning_text", "text": answer.reasoning}
        shown = {"summary": [part]} if is_summary else {"summary": [], "content": [part]}
        output.append({"id": f"rs_{number}", "type": "reasoning", **shown})
    content: list[dict[str, Any]] = []
    if answer.text or not (answer.refusal or answer.tool_calls):
        logprobs = [one for piece in sample.pieces if piece.kind == "text" for one in _logprobs(piece, said)]
        content.append({"type": "output_text", "annotations": [], "logprobs": logprobs, "text": answer.text})
    if answer.refusal:
        content.append({"type": "refusal", "refusal": answer.refusal})
    if content:
        message = {"id": f"msg_{number}", "type": "message", "status": status, "role": "assistant"}
        output.append({**message, "content": content})
    output.extend(
        {
            "id": f"fc_{number}_{place}",
            "type": "function_call",
            "status": status,
            "arguments": call.arguments,
            "call_id": call.id,
            "name": call.name,
        }
        for place, call in enumerate(answer.tool_calls)
    )
    return output


def _usage(said: Said, sample: Sampled) -> dict[str, Any]:
    told = sample.answer.usage
    read = told.prompt_tokens if told else len(said.prompts[0])
    written = told.completion_tokens if told else len(sample.token_ids)
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": sample.answer.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": sample.reasoning_tokens},
        "total_tokens": read + written,
    }


def _logprobs(piece: Piece, said: Said) -> list[dict[str, Any]]:
    wanted = said.asked.body.get("include")
    if not isinstance(wanted, list) or "message.output_text.logprobs" not in wanted:
        return []
    return likely(piece.token_ids, piece.logprobs, count_in(said.asked.body, "top_logprobs"))


def _numbered(data: _Event, number: int) -> bytes:
    return event({"type": data["type"], "sequence_number": number, **data}, name=data["type"])


def _events(said: Said) -> Iterator[_Event]:
    sample = _sample(said)
    whole = _response(said, sample)
    yield {"type": "response.created", "response": _opened(whole)}
    yield {"type": "response.in_progress", "response": _opened(whole)}
    calls = 0
    for place, item in enumerate(whole["output"]):
        match item["type"]:
            case "reasoning":
                yield from _reasoning(item, place, sample)
            case "message":
                yield from _message(item, place, sample, said)
            case _:
                yield from _call(item, place, sample, number=calls)
                calls += 1
        yield {"type": "response.output_item.done", "output_index": place, "item": item}
    yield {"type": f"response.{whole['status']}", "response": whole}


def _reasoning(item: _Event, place: int, sample: Sampled) -> Iterator[_Event]:
    at = {"item_id": item["id"], "output_index": place}
    text = sample.answer.reasoning
    emptied: _Event = {name: [] for name in ("summary", "content") if name in item}
    yield {"type": "response.output_item.added", "output_index": place, "item": {**item, **emptied}}
    if item["summary"]:
        at["summary_index"] = 0
        part, words, kind = "response.reasoning_summary_part", "response.reasoning_summary_text", "summary_text"
    else:
        at["content_index"] = 0
        part, words, kind = "response.content_part", "response.reasoning_text", "reasoning_text"
    yield {"type": f"{part}.added", **at, "part": {"type": kind, "text": ""}}
    for piece in sample.pieces_of("reasoning"):
        yield {"type": f"{words}.delta", **at, "delta": piece.text}
    yield {"type": f"{words}.done", **at, "text": text}
    yield {"type": f"{part}.done", **at, "part": {"type": kind, "text": text}}


def _message(item: _Event, place: int, sample: Sampled, said: Said) -> Iterator[_Event]:
    opened = {**item, "status": "in_progress", "content": []}
    yield {"type": "response.output_item.added", "output_index": place, "item": opened}
    for index, part in enumerate(item["content"]):
        at = {"item_id": item["id"], "output_index": place, "content_index": index}
        if part["type"] == "refusal":
            yield {"type": "response.content_part.added", **at, "part": {**part, "refusal": ""}}
            for piece in sample.pieces_of("refusal"):
                yield {"type": "response.refusal.delta", **at, "delta": piece.text}
            yield {"type": "response.refusal.done", **at, "refusal": part["refusal"]}
        else:
            yield {"type": "response.content_part.added", **at, "part": {**part, "text": "", "logprobs": []}}
            for piece in sample.pieces_of("text"):
                delta = {"delta": piece.text, "logprobs": _logprobs(piece, said)}
                yield {"type": "response.output_text.delta", **at, **delta}
            told = {"text": part["text"], "logprobs": part["logprobs"]}
            yield {"type": "response.output_text.done", **at, **told}
        yield {"type": "response.content_part.done", **at, "part": part}


def _call(item: _Event, place: int, sample: Sampled, *, number: int) -> Iterator[_Event]:
    at = {"item_id": item["id"], "output_index": place}
    for _opening in sample.pieces_of("call", call=number):
        opened = {**item, "status": "in_progress", "arguments": ""}
        yield {"type": "response.output_item.added", "output_index": place, "item": opened}
    for piece in sample.pieces_of("arguments", call=number):
        yield {"type": "response.function_call_arguments.delta", **at, "delta": piece.text}
    # Older clients want the name here, newer ones read past it.
    told = {"name": item["name"], "arguments": item["arguments"]}
    yield {"type": "response.function_call_arguments.done", **at, **told}
