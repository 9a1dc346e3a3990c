"""What every engine is: a model that can be asked over HTTP and given new weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

__all__ = ["Checkpoint", "Endpoint", "Engine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a model is served, and what it can do."""

    url: str
    """Base URL; ends in `/v1`, on loopback unless others serve it."""
    model: str
    """The name that agents ask for."""
    max_len: int
    """Tokens that prompt and answer may have together."""
    token_ids: bool = True
    """It returns `prompt_token_ids` and `token_ids` when asked with `return_token_ids`."""
    logprobs_mode: str | None = "processed"
    """`processed`: log-probabilities of the distribution that was sampled, temperature applied."""
    tools: str | None = "hermes"
    """Tool dialect of the model."""
    dialects: tuple[str, ...] = ("openai.chat",)
    """Dialects of `agl_core.wire` that it understands; a call in another one is translated to the first."""
    named: str = ""
    """What it is called where it is served, if that is another name."""
    api_key: str | None = field(default=None, repr=False)
    """What the gateway shows there; it stays in this process, and never reaches log or agent."""
    folder: Path | None = None
    """Where its first weights lie on this machine: what a trainer starts from; None when it cannot be trained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Weights on disk: the only thing that an engine and a trainer share."""

    digest: str
    """Content id of the manifest: equal digests, equal bytes."""
    folder: Path
    """Hugging Face layout with safetensors: a whole model, or an adapter (`adapter_config.json`) on `base`."""
    base: Path | None = None
    """Folder of the model an adapter belongs to."""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Engine(Protocol):
    """A model that can be asked over HTTP and given new weights.

    An engine is always an OpenAI-compatible endpoint at a loopback URL, also when it lives in our process.
    Generation never runs on the caller's event loop.
    """

    async def start(self) -> Endpoint:
        """Load the model and listen; the endpoint answers when this returns."""
        ...

    async def load(self, checkpoint: Checkpoint, *, version: int) -> None:
        """Serve these weights as `version`; answers begun on the old ones end on them."""
        ...

    async def stop(self) -> None:
        """Stop listening and free the model; calling it twice is harmless."""
        ...
