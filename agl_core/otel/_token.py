"""The token of a program that works for many attempts of a log."""

from __future__ import annotations

import hmac
from hashlib import blake2b
from typing import Protocol

__all__ = ["token"]


class Secretive(Protocol):
    """A log, as far as its key goes."""

    def secret(self) -> bytes:
        """The log's own key."""
        ...


def token(log: Secretive) -> str:
    """What a service shows at `{gateway}/v1/traces` whose spans belong to many attempts, as a bearer token.

    An attempt's own token is good for that attempt only; this one is good for all of the log, so an agent gets none.
    """
    return "agl-" + hmac.new(log.secret(), b"otlp", blake2b).hexdigest()[:48]
