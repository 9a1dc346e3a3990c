"""Which requests are model calls, and which of them the gateway sees anyway."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

import msgspec

from agl_core.recorder import Scope
from agl_core.wire import DIALECTS, Dialect

__all__ = ["Asked", "dialect_of", "dialects", "is_at_gateway", "is_of_attempt", "json_object", "read"]

_GATEWAY = re.compile(r"/rollout/([^/]+)/attempt/([^/]+)/v1/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A model call, as its request says it."""

    dialect: Dialect
    body: dict[str, Any]
    model: str


@functools.cache
def dialects() -> dict[str, Dialect]:
    """Those of the wire by the end of their URL, longer ones first: `/chat/completions` is no `/completions`."""
    found = {f"/{dialect.ROUTE}": dialect for dialect in DIALECTS.values()}
    return dict(sorted(found.items(), key=lambda item: -len(item[0])))


def dialect_of(path: str) -> Dialect | None:
    """The dialect that is spoken there, if it is one of ours."""
    return next((dialect for end, dialect in dialects().items() if path.endswith(end)), None)


def read(dialect: Dialect, content: bytes) -> Asked | None:
    """The call that a body asks for; nothing when it names no model."""
    body = json_object(content)
    if body is None or not isinstance(model := body.get("model"), str):
        return None
    return Asked(dialect=dialect, body=body, model=model)


def json_object(raw: bytes) -> dict[str, Any] | None:
    """The object that `raw` is, if it is one."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_at_gateway(path: str) -> bool:
    """Whether it is the URL of an attempt, behind which a gateway records."""
    return _GATEWAY.search(path) is not None


def is_of_attempt(path: str, scope: Scope) -> bool:
    """Whether it is the URL of this very attempt, which nobody else has."""
    found = _GATEWAY.search(path)
    return found is not None and found.groups() == (scope.rollout_id, scope.attempt_id)
