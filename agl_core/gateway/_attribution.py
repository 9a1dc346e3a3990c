"""Whose something is that came over OTLP: the first of the ways that says so, believed as far as its token goes."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from agl_core.errors import UnknownId
from agl_core.gateway._ports import Admissions, Facts
from agl_core.spans.context import ROLLOUT, attempt_of, root_of, said_attempt

__all__ = ["Attribution", "Place", "Stray"]

Claim = tuple[str | None, str | None]
"""Rollout and attempt; either may be left out, not both."""
_NOBODY: Claim = (None, None)


@dataclass(frozen=True, slots=True)
class Place:
    """An attempt that something is put down to."""

    rollout_id: str
    attempt_id: str
    run_id: str | None
    is_lost: bool
    """Its lease was: what comes now is kept, and never counts."""
    key: str = field(repr=False)

    @property
    def root(self) -> str | None:
        """The span id that stands for the attempt itself."""
        return root_of(self.attempt_id)


@dataclass(frozen=True, slots=True)
class Stray:
    """Why it is nobody's."""

    why: str


class Attribution:
    """For one request: what its URL, its headers and its token say, and what the log knows."""

    def __init__(
        self,
        facts: Facts,
        admissions: Admissions,
        *,
        token: bytes,
        covers_all: bool,
        url: Claim = _NOBODY,
        headers: Mapping[bytes, bytes],
    ) -> None:
        self._facts, self._admissions = facts, admissions
        self._token, self._covers_all = token, covers_all
        self._baggage = _baggage(headers.get(b"baggage", b""))
        self._last = (_text(headers, b"x-agl-rollout-id"), _text(headers, b"x-agl-attempt-id"))
        if self._last == _NOBODY:
            self._last = url
        self._known: dict[Claim, Place | Stray] = {}

    def of(self, attributes: Mapping[str, Any], resource: Mapping[str, Any], trace_id: str | None) -> Place | Stray:
        """The attempt it belongs to, or why there is none."""
        for claim in (said_attempt(attributes), said_attempt(resource), self._baggage):
            if claim != _NOBODY:
                return self._found(claim)
        if trace_id is not None:
            issued = (None, attempt_of(trace_id))
            if not isinstance(found := self._looked_up(issued), Stray):
                return self._believed(found)
        if self._last != _NOBODY:
            return self._found(self._last)
        return Stray(f"neither {ROLLOUT}, nor a trace id that was issued, nor x-agl-rollout-id says whose it is")

    def call_of(self, place: Place, response_id: str) -> str | None:
        """The call of the attempt that was answered so."""
        found = self._facts.rows(_ANSWERED, (place.attempt_id, response_id))
        return str(found[0][0]) if found else None

    def admits(self) -> bool:
        """Whether the token is that of anybody the request has named so far."""
        if self._last != _NOBODY:
            self._found(self._last)
        return self._covers_all or any(isinstance(one, Place) and self._fits(one) for one in self._known.values())

    def _found(self, claim: Claim) -> Place | Stray:
        found = self._looked_up(claim)
        return found if isinstance(found, Stray) else self._believed(found)

    def _believed(self, place: Place) -> Place | Stray:
        if self._covers_all or self._fits(place):
            return place
        return Stray(f"it names attempt {place.attempt_id}, and came with another one's token")

    def _fits(self, place: Place) -> bool:
        return hmac.compare_digest(self._token, place.key.encode())

    def _looked_up(self, claim: Claim) -> Place | Stray:
        found = self._known.get(claim)
        if found is None:
            found = self._known[claim] = self._read(*claim)
        return found

    def _read(self, rollout_id: str | None, attempt_id: str | None) -> Place | Stray:
        named = attempt_id or rollout_id
        if attempt_id is None:
            rows = self._facts.rows("select attempt_id from rollouts where rollout_id = ?", (rollout_id,))
            attempt_id = rows[0][0] if rows else None
        rows = self._facts.rows(
            "select rollout_id, fence is not null from attempts where attempt_id = ?", (attempt_id,)
        )
        if not rows or rollout_id not in (None, rows[0][0]):
            return Stray(f"it names {str(named)[:80]!r}, of which this log has no attempt")
        try:
            admission = self._admissions.admission(rows[0][0], str(attempt_id))
        except UnknownId as error:
            return Stray(str(error))
        return Place(admission.rollout_id, admission.attempt_id, admission.run_id, bool(rows[0][1]), admission.key)


_ANSWERED = (
    "select call_id from calls c join events e using (position) "
    "where c.attempt_id = ? and json_extract(e.data, '$.call.response_id') = ? order by position limit 1"
)


def _baggage(header: bytes) -> Claim:
    """As W3C has it: `name=value;properties, ...`, values percent-encoded."""
    found: dict[str, str] = {}
    for member in header.decode("utf-8", "replace").split(","):
        name, _, value = member.partition(";")[0].partition("=")
        found[name.strip()] = unquote(value.strip())
    return said_attempt(found)


def _text(headers: Mapping[bytes, bytes], name: bytes) -> str | None:
    return headers.get(name, b"").decode("utf-8", "replace").strip() or None
