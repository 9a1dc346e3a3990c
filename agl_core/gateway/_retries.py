"""Which call a request asks for once more: a client that retries says so, and sends the same bytes again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from agl_core.events import CallRecorded

__all__ = ["MARK", "Retries", "Sent"]

MARK = b"x-stainless-retry-count"
"""The header in which the SDKs of OpenAI and Anthropic count."""
_REMEMBERED = 4_096
"""Failed calls that may still be asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request as it can be known again."""

    attempt_id: str
    route: str
    raw: bytes
    number: int
    """0, then 1 for the first time it is sent again."""
    is_counted: bool = False
    """Whether the client says so; it is 0 of those that do not."""

    @classmethod
    def read(cls, attempt_id: str, route: str, raw: bytes, headers: Mapping[bytes, bytes]) -> Sent:
        """With the number that the client gives it."""
        mark = headers.get(MARK, b"")
        counted = mark.isdigit()
        number = int(mark) if counted else 0
        return cls(attempt_id=attempt_id, route=route, raw=raw, number=number, is_counted=counted)


class Retries:
    """Remembers calls that failed until they are asked again, or too many others failed since.

    Equal requests that fail beside each other each wait for one that asks again: which of them it was before makes no
    difference, because nothing else tells them apart.
    """

    def __init__(self) -> None:
        self._failed: OrderedDict[tuple[str, str, bytes, int], list[CallRecorded]] = OrderedDict()

    def failed(self, sent: Sent, call: CallRecorded) -> None:
        """`call` did not go well, and may be asked again."""
        self._failed.setdefault(_key(sent, sent.number), []).append(call)
        if len(self._failed) > _REMEMBERED:
            self._failed.popitem(last=False)

    def before(self, sent: Sent) -> CallRecorded | None:
        """The call that this one is another try of; each is answered once."""
        if not sent.number or not (waiting := self._failed.get(key := _key(sent, sent.number - 1))):
            return None
        found = waiting.pop(0)
        if not waiting:
            del self._failed[key]
        return found


def _key(sent: Sent, number: int) -> tuple[str, str, bytes, int]:
    return sent.attempt_id, sent.route, blake2b(sent.raw, digest_size=16).digest(), number
