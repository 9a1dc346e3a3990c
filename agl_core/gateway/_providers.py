"""What providers want beside the request: how a key is shown, and where a route lies."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from agl_core.engine import Endpoint

__all__ = ["address", "authorization"]

_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_ANTHROPIC = "anthropic.messages"
_ANTHROPIC_VERSION = "2023-06-01"


def authorization(endpoint: Endpoint) -> dict[str, str]:
    """Headers that go with every request to the endpoint."""
    headers = {"content-type": "application/json"}
    speaks_anthropic = endpoint.dialects[0] == _ANTHROPIC
    if speaks_anthropic:
        headers["anthropic-version"] = _ANTHROPIC_VERSION
    if (key := endpoint.api_key) is None:
        return headers
    if speaks_anthropic:
        headers["x-api-key"] = key
    elif (urlsplit(endpoint.url).hostname or "").endswith(_AZURE):
        headers["api-key"] = key
    else:
        headers["authorization"] = f"Bearer {key}"
    return headers


def address(base: str, route: str) -> str:
    """The route under a base URL, in front of its query: Azure has its version there."""
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{route}"))
