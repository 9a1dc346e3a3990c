"""The span tree of a rollout, drawn for people and told to programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._words import duration, iso, number

if TYPE_CHECKING:
    from agl_core.projections import Node
    from agl_core.spans import SpanDialect

__all__ = ["branches", "drawn", "known_dialects"]

WIDTH = 100
_GIVEN = 32
"""So much is shown of what something was given, where something came of it too."""
_BRIEF = 0.1
"""Seconds; what took less is told in milliseconds."""
_WORDS = {"model_call": "call", "other": "span"}
"""Kinds that people know by another word."""


def branches(nodes: Iterable[Node]) -> list[dict[str, Any]]:
    """The tree for programs; what is empty is left out."""
    return [_branch(node) for node in nodes]


def drawn(nodes: Sequence[Node], *, width: int = WIDTH) -> Iterator[str]:
    """The tree for people, a line for each node, none wider than `width`."""
    yield from _drawn(branches(nodes), "", width)


def _branch(node: Node) -> dict[str, Any]:
    seconds = None
    if node.started_at is not None and node.ended_at is not None:
        seconds = round((node.ended_at - node.started_at) / 1e9, 3)
    told = {
        "kind": "call" if node.call is not None else node.kind,
        "name": node.name,
        "id": node.id,
        "agent": node.agent,
        "started_at": iso(node.started_at),
        "seconds": seconds,
        "error": node.error,
        **_of_span(node),
        **_of_call(node),
        **_of_reward(node),
        "below": branches(node.below),
    }
    return {name: value for name, value in told.items() if value not in (None, [], {}, "")}


def _of_span(node: Node) -> dict[str, Any]:
    if (meaning := node.meaning) is None:
        return {}
    return {
        "span": meaning.name,
        "dialect": meaning.dialect,
        "tool": meaning.tool,
        "arguments": meaning.arguments,
        "result": meaning.result,
        "handed_to": meaning.handed_to,
        "scores": {score.name: score.value for score in meaning.scores},
    }


def _of_call(node: Node) -> dict[str, Any]:
    if node.call is not None:
        usage, choices = node.call.call.usage, node.call.call.choices
        told: dict[str, Any] = {
            "role": node.call.role,
            "status": node.call.status,
            "parent_call": node.call.parent_call_id,
            "prompt_tokens": usage.prompt_tokens or len(node.call.call.prompt_token_ids),
            "completion_tokens": usage.completion_tokens or sum(len(choice.token_ids) for choice in choices),
        }
        answers: Sequence[Any] = [choice.message for choice in choices]
    elif node.meaning is not None and node.kind == "model_call":
        counted = node.meaning.usage
        told = {
            "prompt_tokens": counted.prompt_tokens if counted else None,
            "completion_tokens": counted.completion_tokens if counted else None,
        }
        answers = node.meaning.answers
    else:
        return {}
    if answers:
        wishes = [{"name": wish.name, "arguments": wish.arguments} for wish in answers[0].tool_calls]
        told |= {"said": answers[0].content, "tool_calls": wishes}
    return told


def _of_reward(node: Node) -> dict[str, Any]:
    if node.reward is None:
        return {}
    given = node.reward.given
    return {"value": given.value, "judge": given.judge}


def _drawn(told: Sequence[Mapping[str, Any]], before: str, width: int) -> Iterator[str]:
    for index, branch in enumerate(told):
        is_last = index == len(told) - 1
        corner, bar = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        yield _line(branch, before + corner, width)
        yield from _drawn(branch.get("below", ()), before + bar, width)


def _line(told: Mapping[str, Any], before: str, width: int) -> str:
    from rich.cells import cell_len, chop_cells

    kind = _WORDS.get(told["kind"], told["kind"])
    # Some instrumentations begin the names of their spans with what they are.
    parts = [f"{kind} {told['name'].removeprefix(f'{kind} ')}", *_figures(told)]
    error = f"error: {told['error']}" if "error" in told else ""
    line = "  ".join(filter(None, [*parts, error, _details(told)])).replace("\n", "\\n")
    line = "".join(letter if letter.isprintable() else " " for letter in line)
    room = max(width - cell_len(before), 20)
    if cell_len(line) > room:
        line = chop_cells(line, room - 1)[0] + "…"
    return before + (click.style(line, fg="red") if error else line)


def _figures(told: Mapping[str, Any]) -> Iterator[str]:
    if told["kind"] == "reward" and "value" in told:
        yield f"= {number(told['value'])} by {told['judge']}" + (f" for {told['agent']}" if "agent" in told else "")
    if scores := told.get("scores"):
        yield ", ".join(f"{name} {number(value)}" for name, value in scores.items())
    if "seconds" in told:
        seconds = told["seconds"]
        yield duration(seconds) if seconds >= _BRIEF else f"{seconds * 1000:.0f} ms"
    if "prompt_tokens" in told:
        yield f"{told['prompt_tokens']}+{told.get('completion_tokens') or 0} tokens"
    if told.get("role", "policy") != "policy":
        yield f"as {told['role']}"


def _details(told: Mapping[str, Any]) -> str:
    """What was said, or done with what."""
    wishes = ", ".join(f"{wish['name']}({wish['arguments']})" for wish in told.get("tool_calls", ()))
    if "said" in told or wishes:
        return " ".join(filter(None, ("->", _text(told.get("said")), wishes)))
    given, came = (_text(told.get(name)) for name in ("arguments", "result"))
    if came and len(given) > _GIVEN:
        given = given[: _GIVEN - 1] + "…"
    return " ".join(filter(None, (given, f"-> {came}" if came else "")))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def known_dialects() -> tuple[SpanDialect, ...]:
    """Those of plugins too: they know spans that the core does not."""
    from agl_core.plugins import Plugins

    return Plugins.load(lenient=True).dialects()
