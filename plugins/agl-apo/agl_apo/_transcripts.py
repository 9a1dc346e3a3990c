"""Rollouts in words, as a critic reads them: what the model was asked and said, or the spans as they came."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from agl_core.adapter import Trace, words
from agl_core.events import owner

if TYPE_CHECKING:
    from agl_apo._scores import Score
    from agl_core.events import CallRecorded, Message
    from agl_core.run import Run
    from agl_core.store import Outcome

__all__ = ["read", "short", "teaches", "told"]


def teaches(outcome: Outcome) -> bool:
    """Whether a prompt may have had a part in how it ended: not in what the infrastructure did."""
    return outcome.status != "cancelled" and (
        outcome.exit_status is None or owner(outcome.exit_status) != "infrastructure"
    )


def read(run: Run, scores: Iterable[Score], *, form: str, longest: int) -> list[str]:
    """Each rollout that teaches something, as a text of about `longest` characters at most. Read-only.

    `form` is `chat` (what was said) or `spans` (what was recorded). What came after the scores were in is not read.
    """
    found = []
    for score in scores:
        outcomes = [outcome for outcome in score.outcomes if teaches(outcome)]
        traces = run.store.ask.traces([outcome.rollout_id for outcome in outcomes], as_of=score.as_of)
        found += [
            told(trace, outcome, form=form, longest=longest) for trace, outcome in zip(traces, outcomes, strict=True)
        ]
    return found


def told(trace: Trace, outcome: Outcome, *, form: str, longest: int) -> str:
    """One rollout: its task, how it ended, what it earned, and what happened in it."""
    ended = outcome.exit_status or outcome.status
    reward = "none: nobody scored it" if outcome.reward is None else f"{outcome.reward:g}"
    lines = _spans(trace) if form == "spans" else _chat(trace)
    happened = "\n".join(lines) or "(it asked no model)"
    return f"task: {_json(outcome.task, longest // 4)}\nended: {ended}\nreward: {reward}\n{short(happened, longest)}"


def _chat(trace: Trace) -> Iterator[str]:
    """What was said, each message once: a call that goes on with what stood before adds what is new."""
    before: list[object] = []
    for recorded in trace.calls:
        if recorded.role == "judge":
            continue
        asked = [words(message) for message in recorded.call.messages]
        known = len(before) if asked[: len(before)] == before else 0
        for message in recorded.call.messages[known:]:
            yield _message(message)
        answer = recorded.call.choices[0].message if recorded.call.choices else None
        yield _message(answer) if answer is not None else f"[no answer: {recorded.error or recorded.status}]"
        before = [*asked, words(answer)] if answer is not None else [*asked]


def _spans(trace: Trace) -> Iterator[str]:
    """Calls and spans in the order of the log, as they were recorded."""
    records: list[tuple[int, str]] = [
        (trace.positions.get(call.call_id, 0), _json(_call(call))) for call in trace.calls if call.role != "judge"
    ]
    for span in trace.spans:
        body = {"span": span.name, "status": span.status, "attributes": dict(span.attributes)}
        if span.status_message:
            body["message"] = span.status_message
        records.append((trace.positions.get(span.span_id, 0), _json(body)))
    for _, line in sorted(records):
        yield line


def _call(recorded: CallRecorded) -> dict[str, Any]:
    call = recorded.call
    return {
        "call": call.model,
        "agent": recorded.agent,
        "status": recorded.status,
        "error": recorded.error,
        "messages": [{"role": message.role, "content": message.content} for message in call.messages],
        "tools": [tool.name for tool in call.tools],
        "answers": [
            {
                "content": choice.message.content,
                "tool_calls": [{"name": wish.name, "arguments": wish.arguments} for wish in choice.message.tool_calls],
                "finish_reason": choice.finish_reason,
            }
            for choice in call.choices
        ],
    }


def _message(message: Message) -> str:
    said = words(message)
    wishes = "".join(f"\n  calls {name}({arguments})" for name, arguments in said.calls)
    return f"{said.role}: {said.text}{wishes}"


def _json(value: Any, longest: int | None = None) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return text if longest is None else short(text, longest)


def short(text: str, longest: int) -> str:
    """Its beginning and its end, where it is too long: what a rollout came to stands at its end."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"
