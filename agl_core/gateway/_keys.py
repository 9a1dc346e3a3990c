"""The key that a request shows, and whether it is the attempt's."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from agl_core.gateway._refusals import Refused
from agl_core.store import Admission

__all__ = ["check_key", "shown_key", "shows_judge"]


def shown_key(headers: Mapping[bytes, bytes]) -> bytes:
    """As a bearer token, or as clients of Anthropic show it."""
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    return (key if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")).strip()


def shows_judge(headers: Mapping[bytes, bytes], admission: Admission) -> bool:
    """Whether it is a judge of the attempt who asks."""
    key = admission.judge_key.encode()
    return bool(key) and hmac.compare_digest(shown_key(headers), key)


def check_key(headers: Mapping[bytes, bytes], admission: Admission) -> None:
    """Refuse whoever does not hold the attempt's own key."""
    if not hmac.compare_digest(shown_key(headers), admission.key.encode()):
        raise Refused(401, "UNAUTHORIZED", "the API key is not this attempt's: use the one its LLM resource has")
