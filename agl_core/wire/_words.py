"""What every dialect can say of a call: our words, without what only the call's own dialect has a place for."""

from __future__ import annotations

from dataclasses import replace

from agl_core.events import Choice, Message, ModelCall

__all__ = ["in_words"]


def in_words(call: ModelCall, dialect: str) -> ModelCall:
    """The call itself, if it is of that dialect; else what can be said of it there."""
    if call.dialect == dialect:
        return call
    return replace(
        call,
        messages=tuple(map(_message, call.messages)),
        choices=tuple(map(_choice, call.choices)),
        extra={},
        dialect=dialect,
    )


def _message(message: Message) -> Message:
    return replace(message, extra={}) if message.extra else message


def _choice(choice: Choice) -> Choice:
    return replace(choice, message=_message(choice.message))
