"""An attempt as a W3C trace: its id is the trace's, so that whoever sees the one knows the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ATTEMPT", "ROLLOUT", "attempt_of", "root_of", "said_attempt", "traceparent"]

ROLLOUT, ATTEMPT = "agentlightning.rollout_id", "agentlightning.attempt_id"
"""Attributes of a span, or of the program that sends it, that say whose it is."""
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26


def traceparent(attempt_id: str) -> str | None:
    """What a program is given in `TRACEPARENT`; none for an attempt whose id is no ULID."""
    trace_id = _trace_of(attempt_id)
    return f"00-{trace_id}-{trace_id[16:]}-01" if trace_id else None


def attempt_of(trace_id: str) -> str:
    """The attempt that the trace would be; any trace is one, and only the log knows whether that one was."""
    number = int(trace_id, 16)
    return "at-" + "".join(_DIGITS[(number >> shift) & 31] for shift in range(5 * (_LENGTH - 1), -5, -5))


def root_of(attempt_id: str) -> str | None:
    """The span id that stands for the attempt itself in its `traceparent`: no span of that id is ever sent."""
    trace_id = _trace_of(attempt_id)
    return trace_id[16:] if trace_id else None


def said_attempt(attributes: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Rollout and attempt, as attributes name them."""
    rollout, attempt = attributes.get(ROLLOUT), attributes.get(ATTEMPT)
    return (
        rollout if isinstance(rollout, str) and rollout else None,
        attempt if isinstance(attempt, str) and attempt else None,
    )


def _trace_of(attempt_id: str) -> str | None:
    kind, _, digits = attempt_id.partition("-")
    if kind != "at" or len(digits) != _LENGTH or not all(digit in _DIGITS for digit in digits):
        return None
    number = 0
    for digit in digits:
        number = number << 5 | _DIGITS.index(digit)
    return f"{number:032x}" if 0 < number < 1 << 128 and number & (1 << 64) - 1 else None
