"""Where models are served: which places are none, and what is spoken at the others."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from agl_core.errors import BadValue

__all__ = ["refuse_strange", "spoken_at"]


def refuse_strange(url: str) -> None:
    """`BadValue` for what is no place of a model: another scheme, or a cloud's metadata service, which has keys."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise BadValue("endpoint.url", url, why=str(error)) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadValue("endpoint.url", url, why="an endpoint is reached at http:// or https://")
    try:
        is_metadata = ip_address(parts.hostname).is_link_local
    except ValueError:
        is_metadata = parts.hostname.rstrip(".").endswith("metadata.google.internal")
    if is_metadata:
        raise BadValue("endpoint.url", url, why="link-local addresses are for metadata services, and serve no models")


def spoken_at(url: str) -> tuple[str, ...]:
    """The dialects of whoever serves models there; almost everybody speaks OpenAI's."""
    if (urlsplit(url).hostname or "").endswith(".anthropic.com"):
        return ("anthropic.messages",)
    return ("openai.chat", "openai.completions", "openai.responses", "openai.embeddings")
