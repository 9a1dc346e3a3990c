"""Model calls that spans tell of: one fact for each, however many spans saw it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from agl_core.events import CallRecorded, Choice, Message, ModelCall, Role, Sampling, SpanRecorded, Tool, ToolCall
from agl_core.importing._tokens import tokens
from agl_core.spans import SpanMeaning, meaning
from agl_core.spans._attributes import at, count, decoded, number, rows, text, texts, written
from agl_core.wire import openai_chat

__all__ = ["Called", "calls"]

_RAW = "raw_gen_ai_request"
"""LiteLLM's span for what went over the wire: `llm.<provider>.` and a field of the request, or of the answer."""
_EMBEDDINGS = frozenset({"embeddings", "embedding"})
_ROLES: Mapping[str, Role] = {role: role for role in get_args(Role)}
_SECOND = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A call, and the spans that saw it."""

    name: str
    """By which it is known in the attempt: the id of its answer, else that of its span."""
    recorded: CallRecorded
    """Its own id and its parent's are those of the source."""
    spans: tuple[SpanRecorded, ...]


def calls(spans: Sequence[SpanRecorded]) -> list[Called]:
    """The model calls of an attempt, in the order in which the spans of each are all there.

    Spans with one response id are one call, and so is a span of a call within a span of a call that names no answer.
    What is under a span that gives a reward was asked for a judge.
    """
    told = _Told(spans)
    groups: dict[str, list[_Witness]] = defaultdict(list)
    for span in spans:
        if (witness := told.witness(span)) is not None:
            name = told.name(witness)
            groups[name] = [*groups.pop(name, ()), witness]
    return [told.called(name, witnesses) for name, witnesses in groups.items()]


@dataclass(frozen=True, slots=True)
class _Witness:
    span: SpanRecorded
    meaning: SpanMeaning
    call: ModelCall

    @property
    def worth(self) -> tuple[bool, bool, bool]:
        """Who has tokens is believed, then who tells what was said."""
        first = self.call.choices[0] if self.call.choices else Choice(message=Message(role="assistant"))
        return bool(first.token_ids), bool(self.call.messages), bool(first.message.content or first.message.tool_calls)


class _Told:
    """The spans of an attempt, and what they mean."""

    def __init__(self, spans: Sequence[SpanRecorded]) -> None:
        self._spans = {span.span_id: span for span in spans}
        self._meanings = {span.span_id: meaning(span) for span in spans}
        self._below: dict[str, list[SpanRecorded]] = defaultdict(list)
        for span in spans:
            if span.parent_id:
                self._below[span.parent_id].append(span)
        self._calls: dict[str, ModelCall | None] = {}

    def witness(self, span: SpanRecorded) -> _Witness | None:
        call = self._call(span)
        return None if call is None else _Witness(span, self._meanings[span.span_id], call)

    def name(self, witness: _Witness) -> str:
        """The id of the answer, else that of the outermost span of the call."""
        if witness.call.response_id:
            return witness.call.response_id
        outermost = witness.span
        for span in self._above(witness.span):
            call = self._call(span)
            if call is not None and call.response_id:
                return call.response_id
            outermost = span if call is not None else outermost
        return outermost.span_id

    def called(self, name: str, witnesses: Sequence[_Witness]) -> Called:
        believed = max(witnesses, key=lambda one: one.worth)  # of equals, the first
        call = believed.call
        for witness in witnesses:
            call = _filled(call, witness.call)
        spans = [witness.span for witness in witnesses]
        began, ended = min(span.started_at for span in spans), max(span.ended_at for span in spans)
        failed = next((one for one in witnesses if one.span.status == "error"), None)
        said: dict[str, Any] = {}
        for span in reversed(spans):
            said |= span.attributes
        recorded = CallRecorded(
            call_id=text(said, "agl.call.id") or name,
            rollout_id=believed.span.rollout_id,
            attempt_id=believed.span.attempt_id,
            call=call,
            role=self._role(spans, said),
            agent=self._agent(witnesses),
            parent_call_id=text(said, "agl.call.parent"),
            status="error" if failed else "ok",
            error=(failed.meaning.error or failed.span.status_message or "error") if failed else None,
            policy_version=count(said, "agentlightning.policy.version"),
            started_at=began,
            latency=max(0.0, (ended - began) / _SECOND),
            first_token=number(said.get("gen_ai.response.time_to_first_chunk")),
        )
        return Called(name=name, recorded=recorded, spans=tuple(spans))

    def _call(self, span: SpanRecorded) -> ModelCall | None:
        if span.span_id not in self._calls:
            self._calls[span.span_id] = _raw(span) if span.name == _RAW else self._meant(span)
        return self._calls[span.span_id]

    def _meant(self, span: SpanRecorded) -> ModelCall | None:
        told, found = self._meanings[span.span_id], span.attributes
        if told.kind != "model_call" or _is_embedding(found):
            return None
        prompt, sampled, likely = tokens(found)
        answers = list(told.answers) or [Message(role="assistant")] * max(len(sampled), 1)
        if len(answers) == 1 and not answers[0].tool_calls:
            # AgentOps tells of the tools that were wished for in spans below.
            answers[0] = replace(answers[0], tool_calls=tuple(self._wishes(span)))
        is_answered = bool(told.answers or sampled or told.finish_reasons)
        choices = tuple(
            _choice(message, place, told.finish_reasons, sampled, likely)
            for place, message in enumerate(answers if is_answered else ())
        )
        has_ids = bool(prompt and choices and all(choice.token_ids for choice in choices))
        return ModelCall(
            model=told.model or "",
            messages=told.messages,
            tools=tuple(_tools(found)),
            sampling=_sampling(found),
            choices=choices,
            prompt_token_ids=prompt,
            usage=told.usage or ModelCall(model="").usage,
            response_id=told.response_id,
            provenance=_provenance(found, has_ids=has_ids),
            logprobs_mode="raw" if any(choice.logprobs for choice in choices) else None,
        )

    def _wishes(self, span: SpanRecorded) -> Iterator[ToolCall]:
        for below in self._below[span.span_id]:
            name = text(below.attributes, "tool.name")
            if name and below.name.startswith("tool_call."):
                yield ToolCall(
                    id=text(below.attributes, "tool.call.id") or "",
                    name=name,
                    arguments=written(below.attributes.get("tool.parameters")),
                )

    def _agent(self, witnesses: Sequence[_Witness]) -> str | None:
        """Who says so itself, else the nearest agent around the call."""
        around = [above for one in witnesses for above in self._above(one.span)]
        own = (one.meaning.agent or one.span.agent for one in witnesses)
        near = (self._meanings[span.span_id].agent for span in around if self._is(span, "agent"))
        return next((agent for agent in (*own, *near) if agent), None)

    def _role(self, spans: Sequence[SpanRecorded], said: Mapping[str, Any]) -> Role:
        stated = said.get("agl.call.role")
        if isinstance(stated, str) and stated in _ROLES:
            return _ROLES[stated]
        is_judged = any(self._is(above, "reward") for span in spans for above in self._above(span))
        return "judge" if is_judged else "policy"

    def _is(self, span: SpanRecorded, kind: str) -> bool:
        return self._meanings[span.span_id].kind == kind

    def _above(self, span: SpanRecorded) -> Iterator[SpanRecorded]:
        """Its parent, and so on; circles end."""
        seen = {span.span_id}
        while (above := self._spans.get(span.parent_id or "")) is not None and above.span_id not in seen:
            seen.add(above.span_id)
            yield above
            span = above


def _raw(span: SpanRecorded) -> ModelCall | None:
    """Request and answer as LiteLLM had them, which it writes down as Python prints them."""
    body: dict[str, Any] = {}
    for name, value in span.attributes.items():
        system, _, field = name.partition(".")[2].partition(".")
        if name.startswith("llm.") and system and field:
            body[field] = _printed(value)
    if not body.get("messages") and not body.get("choices"):
        return None
    asked = {name: value for name, value in body.items() if name not in _ANSWER}
    answer = {name: body[name] for name in _ANSWER & body.keys()}
    call = openai_chat.request({**asked, "model": body.get("model", ""), "logprobs": bool(body.get("logprobs"))})
    return openai_chat.response(call, answer, logprobs_mode="raw")


_ANSWER = frozenset(
    {"choices", "created", "id", "object", "prompt_token_ids", "system_fingerprint", "usage", "service_tier"}
)


def _printed(value: Any) -> Any:
    """What Python printed so; text that is nothing of it as it is."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value


def _filled(call: ModelCall, other: ModelCall) -> ModelCall:
    """The call, with what only the other witness says of it."""
    empty = ModelCall(model="")
    names = ("model", "messages", "tools", "sampling", "choices", "usage", "response_id")
    said = {name: getattr(other, name) for name in names if getattr(call, name) == getattr(empty, name)}
    return replace(call, **said)


def _choice(
    message: Message,
    place: int,
    reasons: Sequence[str],
    sampled: Sequence[tuple[int, ...]],
    likely: Sequence[tuple[float, ...]],
) -> Choice:
    ids = sampled[place] if place < len(sampled) else ()
    logprobs = likely[place] if place < len(likely) else ()
    return Choice(
        message=message,
        finish_reason=reasons[place] if place < len(reasons) else None,
        token_ids=ids,
        logprobs=logprobs if len(logprobs) == len(ids) else (),
    )


def _provenance(found: Mapping[str, Any], *, has_ids: bool) -> Any:
    if not has_ids:
        return "absent"
    return "retokenised" if found.get("agl.call.provenance") == "retokenised" else "engine"


def _is_embedding(found: Mapping[str, Any]) -> bool:
    said = {str(found.get(name)).lower() for name in ("gen_ai.operation.name", "llm.request.type")}
    return bool(said & _EMBEDDINGS) or found.get("openinference.span.kind") == "EMBEDDING"


def _sampling(found: Mapping[str, Any]) -> Sampling:
    asked = {
        name: found.get(f"gen_ai.request.{name}") for name in ("temperature", "top_p", "top_k", "max_tokens", "seed")
    }
    more = decoded(found.get("llm.invocation_parameters"))
    if isinstance(more, Mapping):
        asked = {name: more.get(name) if value is None else value for name, value in asked.items()}
    whole = {name: int(value) for name in ("top_k", "max_tokens", "seed") if (value := number(asked[name])) is not None}
    return Sampling(
        temperature=number(asked["temperature"]),
        top_p=number(asked["top_p"]),
        stop=texts(found.get("gen_ai.request.stop_sequences")),
        **whole,
    )


def _tools(found: Mapping[str, Any]) -> Iterator[Tool]:
    told = [
        *rows(found, "gen_ai.tool.definitions"),
        *rows(found, "gen_ai.request.functions"),
        *rows(found, "llm.request.functions"),
        *(decoded(at(one, "tool", "json_schema")) for one in rows(found, "llm.tools")),
    ]
    for one in told:
        inner = at(one, "function")
        function = inner if isinstance(inner, Mapping) else one
        if isinstance(function, Mapping) and (name := text(function, "name")):
            parameters = decoded(function.get("parameters"))
            yield Tool(
                name=name,
                description=text(function, "description") or "",
                parameters=parameters if isinstance(parameters, Mapping) else {},
            )
