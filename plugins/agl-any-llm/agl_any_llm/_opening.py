"""From a URL to an engine that is not started; the library is looked for here and imported later."""

from __future__ import annotations

from importlib.util import find_spec

from agl_any_llm._engine import AnyLlmEngine
from agl_core.errors import BadValue, MissingExtra

__all__ = ["SCHEME", "opened"]

SCHEME = "any-llm"


def opened(url: str, name: str) -> AnyLlmEngine | None:
    """The engine, or None when the URL is not ours; that the library is missing is said here and not at start."""
    if not url.startswith(f"{SCHEME}:"):
        return None
    provider, _, model = url.removeprefix(f"{SCHEME}:").partition("/")
    if not provider or not model or "?" in url:
        raise BadValue("url", url, why=f"it is {SCHEME}:provider/model, as in {SCHEME}:mistral/mistral-small-latest")
    if find_spec("any_llm") is None:
        raise MissingExtra("any_llm", install="pip install 'agl-any-llm[any-llm]'")
    return AnyLlmEngine(provider, model, url=url, name=name)
