"""Which requests are model calls, and which of them the gateway sees anyway."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

from agl_core.wire import DIALECTS, Dialect, json_object

__all__ = ["Asked", "attempt_in", "dialect_of", "dialects", "read"]

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
    try:
        body = json_object(content)
    except ValueError:
        return None
    if not isinstance(model := body.get("model"), str):
        return None
    return Asked(dialect=dialect, body=body, model=model)


def attempt_in(path: str) -> tuple[str, str] | None:
    """Rollout and attempt whose URL it is, behind which a gateway records."""
    found = _GATEWAY.search(path)
    return (found[1], found[2]) if found else None
