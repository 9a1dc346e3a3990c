"""A rollout as plain values, and texts made of them by a template that can do nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from agl_core.asking import text_of
from agl_core.errors import BadValue
from agl_core.events import CallRecorded, Message
from agl_core.projections import Trace

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

__all__ = ["is_template", "rendered", "scene", "writable"]


def scene(trace: Trace) -> dict[str, Any]:
    """What a template may speak of: `task`, `metadata`, `status`, `exit_status`, `calls`, `spans`, `rewards`."""
    return {
        "task": trace.input,
        "metadata": dict(trace.metadata),
        "status": trace.status,
        "exit_status": trace.exit_status,
        "calls": [_call(call) for call in trace.calls],
        "spans": [{"name": one.name, "agent": one.agent, "attributes": dict(one.attributes)} for one in trace.spans],
        "rewards": {one.given.name: one.given.value for one in trace.rewards if one.given.target.kind == "rollout"},
    }


def is_template(text: str) -> bool:
    """Whether there is anything to fill in."""
    return "{{" in text or "{%" in text


def writable(field: str, template: str) -> None:
    """Raise `BadValue` for what is no template."""
    from jinja2 import TemplateError

    try:
        _sandbox().from_string(template)
    except TemplateError as error:
        raise BadValue(field, template, why=f"it is no template: {error}") from None


def rendered(field: str, template: str, values: Mapping[str, Any]) -> str:
    """The text. A name that is not there is `BadValue`, and no empty place in the text."""
    from jinja2 import TemplateError

    try:
        return _sandbox().from_string(template).render(values)
    except (TemplateError, TypeError, ValueError, ArithmeticError, OverflowError) as error:
        raise BadValue(field, template, why=f"it cannot be filled in: {error}") from None


@cache
def _sandbox() -> ImmutableSandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # Text for models, not HTML: escaped, a judge would be shown what nobody said.
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)


def _call(call: CallRecorded) -> dict[str, Any]:
    said = call.call.choices[0].message if call.call.choices else None
    return {
        "agent": call.agent,
        "role": call.role,
        "model": call.call.model,
        "status": call.status,
        "messages": [_message(message) for message in call.call.messages],
        "said": (text_of(said.content) or "") if said else "",
        "tool_calls": [{"name": one.name, "arguments": one.arguments} for one in said.tool_calls] if said else [],
    }


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": text_of(message.content) or ""}
