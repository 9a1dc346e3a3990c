"""`agl replay --step`: one model call at a time, shown with its recorded answer before that goes to the agent."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from threading import Thread
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from agl_core.events import CallRecorded, Message
    from agl_core.gateway import Question

__all__ = ["Step"]

_PROMPT = "(n)ext, (c)ontinue or (q)uit: "


class Step:
    """Shows calls, and waits for a word about each."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._seen: list[tuple[Message, ...]] = []
        self._shown = 0
        self._waits = True

    async def look(self, question: Question, recorded: CallRecorded) -> None:
        """Show it; `ReplayStopped` when that is enough."""
        from agl_core.errors import ReplayStopped

        async with self._turn:  # calls that are asked at once are looked at one after the other
            self._shown += 1
            for line in self._lines(question, recorded):
                click.echo(line)
            while self._waits:
                word = (await _said(_PROMPT)).strip().lower()
                if word in {"q", "quit"}:
                    raise ReplayStopped(recorded.call_id)
                if word in {"c", "continue"}:
                    self._waits = False
                if word in {"", "n", "next"}:
                    return

    def _lines(self, question: Question, recorded: CallRecorded) -> Iterator[str]:
        call, then = question.call, recorded.call
        by = f" by {question.agent}" if question.agent else ""
        yield click.style(f"call {self._shown}: {call.model}{by}, recorded as {recorded.call_id}", bold=True)
        known = max((_common(call.messages, seen) for seen in self._seen), default=0)
        if known:
            yield f"  ... {known} message{'s' * (known > 1)} as shown before"
        for message in call.messages[known:]:
            yield from _told(message)
        if call.tools:
            yield f"  {'tools':<10} {', '.join(tool.name for tool in call.tools)}"
        yield "answered then:" if recorded.status == "ok" else f"{recorded.status} then: {recorded.error}"
        for choice in then.choices:
            yield from _told(choice.message)
        usage = then.usage
        yield f"  {usage.prompt_tokens} + {usage.completion_tokens} tokens, {recorded.latency:.2f} s"
        self._seen.append((*call.messages, *(choice.message for choice in then.choices[:1])))


def _common(messages: tuple[Message, ...], seen: tuple[Message, ...]) -> int:
    """How many of the first are the same."""
    pairs = enumerate(zip(messages, seen, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(messages), len(seen)))


def _told(message: Message) -> Iterator[str]:
    said = message.content if isinstance(message.content, str) or message.content is None else str(message.content)
    lines = (said or "").splitlines() or [""] * (not message.tool_calls)
    yield from (f"  {message.role if not at else '':<10} {line}" for at, line in enumerate(lines))
    for wish in message.tool_calls:
        yield f"  {message.role:<10} {wish.name}({wish.arguments})"


async def _said(prompt: str) -> str:
    """The next line that is typed; when there are no more, it goes on to the end."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def answered(said: str) -> None:
        if not line.done():
            line.set_result(said)

    def read() -> None:
        loop.call_soon_threadsafe(answered, sys.stdin.readline() or "c")

    click.echo(prompt, nl=False, err=True)
    # Daemon, and no pool's: Ctrl-C must not wait for somebody to press Enter.
    Thread(target=read, name="agl-step", daemon=True).start()
    return await line
