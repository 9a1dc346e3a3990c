"""One call and its tries: a client that asks again says so, and asks again where it has asked before.

Each try is a fact of its own in the log, because nobody knows after a failure whether another try will come. The next
one names the one before, and why all before it failed.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["MARK", "Try", "begun_try"]

MARK = "x-stainless-retry-count"
"""The header in which the SDKs of OpenAI and Anthropic count."""


@dataclass(slots=True, kw_only=True)
class Try:
    """One of a call's."""

    call_id: str
    number: int = 0
    before: Try | None = None
    error: str | None = None
    """Why it failed, once that is known."""

    @property
    def failures(self) -> tuple[str, ...]:
        """Why each try before this one failed, first one first."""
        if self.before is None:
            return ()
        return (*self.before.failures, self.before.error or "unknown")


_last: ContextVar[Try | None] = ContextVar("agl_tap_try", default=None)


def begun_try(call_id: str, mark: str | None) -> Try:
    """The try that a request is; without a mark it is the first and only one."""
    if mark is None or not mark.isdecimal():
        return Try(call_id=call_id)
    number, last = int(mark), _last.get()
    is_next = last is not None and last.number == number - 1
    begun = Try(call_id=call_id, number=number, before=last if is_next else None)
    _last.set(begun)
    return begun
