"""Whose a message is: it is handled in a task of the runtime's, which may have been started by anybody."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from agl_autogen._heard import Heard, here, within
from agl_core.errors import OutsideAttempt
from agl_core.recorder import Scope, current

__all__ = ["Carried", "carried", "restored"]


class Carried(str):
    """The id of a message, which knows what the message was sent in.

    AutoGen takes an id along from sender to receiver, and nothing else that a sender may choose.
    """

    __slots__ = ("heard", "scope")
    heard: Heard | None
    scope: Scope

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """Whoever copies it, or sends it elsewhere, has the id and no more."""
        return str, (str(self),)


def carried(message_id: str, *, is_published: bool) -> str:
    """The id with what is under way here, if it is an attempt's.

    Who publishes waits for nobody: what comes of it is not inside the turn that published, but beside it, in what
    began it all: the team, or what had the runtime work.
    """
    try:
        heard, scope = here(), current("a message")
    except OutsideAttempt:
        return message_id
    while is_published and heard is not None and heard.is_of_message:
        scope, heard = heard.around, heard.parent
    made = Carried(message_id)
    made.heard, made.scope = heard, scope
    return made


def restored(message_id: object) -> AbstractContextManager[None]:
    """What is done inside is done where the message was sent."""
    if not isinstance(message_id, Carried):
        return nullcontext()
    return within(message_id.heard, message_id.scope)
