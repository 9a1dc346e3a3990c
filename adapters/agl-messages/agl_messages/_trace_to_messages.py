"""Agent Lightning's `TraceToMessages`: what was said in each call, as dicts of OpenAI's chat."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agl_core.adapter import Trace
from agl_core.events import ModelCall
from agl_core.wire import openai_chat
from agl_messages._conversations import History
from agl_messages._words import bare, has_words

__all__ = ["TraceToMessages"]


class TraceToMessages:
    """Traces into `{"messages": [...], "tools": [...]}`, one for each answer of the policy.

    Agent Lightning reads spans, with what a framework put in their attributes; here the calls themselves are read, so
    no tool call is missing, and no reward is asked for. `tools` is null where none were offered. `Messages` gives
    conversations instead, with what they earned.
    """

    def __call__(self, source: Trace | Iterable[Trace]) -> list[dict[str, Any]]:
        """As `adapt`."""
        return self.adapt(source)

    def adapt(self, source: Trace | Iterable[Trace]) -> list[dict[str, Any]]:
        """Of one trace or several, in the order of the calls."""
        return [said for trace in ([source] if isinstance(source, Trace) else source) for said in _said(trace)]


def _said(trace: Trace) -> Iterable[dict[str, Any]]:
    history = History()
    for recorded in trace.calls:
        asked = history.asked(recorded)
        if recorded.role != "policy" or asked is None:
            continue
        for choice in recorded.call.choices:
            if has_words(choice.message):
                words = (*map(bare, asked), bare(choice.message))
                shown = openai_chat.render_request(ModelCall(model="", messages=words, tools=recorded.call.tools))
                yield {"messages": shown["messages"], "tools": shown.get("tools")}
