"""What providers want beside the request: how a key is shown, and where a route lies."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

from agl_core.engine import Endpoint
from agl_core.errors import BadValue

__all__ = ["address", "authorization", "refuse_strange", "spoken_at"]

_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_ANTHROPIC = "anthropic.messages"
_ANTHROPIC_VERSION = "2023-06-01"


def authorization(endpoint: Endpoint, api_key: str | None) -> dict[str, str]:
    """Headers that go with every request to the endpoint."""
    headers = {"content-type": "application/json"}
    speaks_anthropic = endpoint.dialects[0] == _ANTHROPIC
    if speaks_anthropic:
        headers["anthropic-version"] = _ANTHROPIC_VERSION
    if api_key is None:
        return headers
    if speaks_anthropic:
        headers["x-api-key"] = api_key
    elif (urlsplit(endpoint.url).hostname or "").endswith(_AZURE):
        headers["api-key"] = api_key
    else:
        headers["authorization"] = f"Bearer {api_key}"
    return headers


def spoken_at(url: str) -> tuple[str, ...]:
    """The dialects of whoever serves models there; almost everybody speaks OpenAI's."""
    if (urlsplit(url).hostname or "").endswith(".anthropic.com"):
        return (_ANTHROPIC,)
    return ("openai.chat", "openai.completions", "openai.responses", "openai.embeddings")


def refuse_strange(url: str) -> None:
    """`BadValue` for what is no place of a model: another scheme, or a cloud's metadata service, which has keys."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadValue("endpoint.url", url, why="an endpoint is reached at http:// or https://")
    try:
        is_metadata = ip_address(parts.hostname).is_link_local
    except ValueError:
        is_metadata = parts.hostname.rstrip(".").endswith("metadata.google.internal")
    if is_metadata:
        raise BadValue("endpoint.url", url, why="link-local addresses are for metadata services, and serve no models")


def address(base: str, route: str) -> str:
    """The route under a base URL, in front of its query: Azure has its version there."""
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{route}"))
