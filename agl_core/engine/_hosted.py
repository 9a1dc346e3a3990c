"""A model that others serve, by its URL: it can be asked, and not trained."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from agl_core.engine._engine import Checkpoint, Endpoint
from agl_core.engine._places import refuse_strange, spoken_at
from agl_core.errors import BadValue, EngineFailed

__all__ = ["Hosted"]

_PROVIDERS = {
    "api.openai.com": "OPENAI_API_KEY",
    ".openai.azure.com": "AZURE_OPENAI_API_KEY",
    ".cognitiveservices.azure.com": "AZURE_OPENAI_API_KEY",
    ".services.ai.azure.com": "AZURE_OPENAI_API_KEY",
    ".anthropic.com": "ANTHROPIC_API_KEY",
    "openrouter.ai": "OPENROUTER_API_KEY",
}
"""Host, or the end of it, to the variable in which its users keep their key."""
_PATIENCE = 5.0
"""Seconds in which a server says what it serves."""


class Hosted:
    """`https://openrouter.ai/api/v1#qwen/qwen3-8b`: base URL, and what the model is called there.

    Without a name it is the only model of the server. The key is `api_key`, else in `AGL_<NAME>_API_KEY`, else where
    users of the provider keep it. Of vLLM, which says that it is vLLM, token ids are asked.
    """

    def __init__(self, url: str, name: str, *, api_key: str | None = None) -> None:
        refuse_strange(url)
        parts = urlsplit(url)
        self._url, self._named = urlunsplit(parts._replace(fragment="")), parts.fragment
        self._name, self._api_key = name, api_key
        self._host = parts.hostname or ""

    async def start(self) -> Endpoint:
        """The endpoint; `EngineFailed` where nobody answers, or where a provider would want a key that is missing."""
        provider = next((variable for end, variable in _PROVIDERS.items() if self._host.endswith(end)), None)
        own = f"AGL_{re.sub(r'[^A-Za-z0-9]', '_', self._name).upper()}_API_KEY"
        key = self._api_key or os.environ.get(own) or (os.environ.get(provider) if provider else None)
        if provider is not None and not key:
            raise EngineFailed(self._url, why=f"it wants a key: set {provider}, or {own}")
        card = {} if provider is not None else await self._card(key)
        named = self._named or str(card.get("id", ""))
        if not named:
            raise BadValue("model", self._url, why="say which model it is, after a #: https://host/v1#its-name")
        is_vllm, length = card.get("owned_by") == "vllm", card.get("max_model_len")
        return Endpoint(
            url=self._url,
            model=self._name,
            named=named,
            api_key=key,
            max_len=length if type(length) is int else 0,
            token_ids=is_vllm,
            logprobs_mode="raw" if is_vllm else None,  # what it gives unless it was told otherwise
            tools=None,
            # Its other routes give no token ids.
            dialects=("openai.chat", "openai.completions", "openai.embeddings") if is_vllm else spoken_at(self._url),
        )

    async def load(self, checkpoint: Checkpoint, *, version: int) -> None:
        """Refused: who serves it takes no weights."""
        raise EngineFailed(self._url, why="others serve it, and it takes no new weights: train `transformers:/path`")

    async def stop(self) -> None:
        """Nothing of it is ours."""

    async def _card(self, key: str | None) -> Mapping[str, Any]:
        """What the server says of the model; empty when it says nothing that we understand."""
        import httpx

        parts = urlsplit(self._url)
        url = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/models"))
        headers = {"authorization": f"Bearer {key}"} if key else {}
        try:
            async with httpx.AsyncClient(timeout=_PATIENCE) as client:
                listed = (await client.get(url, headers=headers)).json()["data"]
            cards = [card for card in listed if isinstance(card, dict)]
        except httpx.ConnectError:
            raise EngineFailed(self._url, why="nothing answers there: is the server up?") from None
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return {}
        if not self._named:
            return cards[0] if len(cards) == 1 else {}
        return next((card for card in cards if card.get("id") == self._named), {})
