"""From a URL to an engine that is not started; torch is looked for here and imported later."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from agl_core.errors import BadValue, MissingExtra, ModelNotFound

if TYPE_CHECKING:
    from agl_core.engine import Engine

__all__ = ["SCHEME", "Options", "opened"]

SCHEME = "transformers"

_NEEDED = ("torch", "transformers", "safetensors")
_DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a URL may set."""

    folder: Path
    """A model in Hugging Face layout, with safetensors and a tokenizer."""
    dtype: str = "auto"
    """`auto` takes what the folder's configuration says."""
    device: str = "auto"
    """`auto` takes a GPU when there is one."""
    max_len: int | None = None
    """Tokens of prompt and answer together; the model's own limit when it is smaller, or this is not given."""
    max_batch: int = 128
    """Answers decoded together at most."""
    threads: int | None = None
    """Threads that torch may decode with, and with nothing else in this process; its own choice when not given."""


def opened(url: str, name: str) -> Engine | None:
    """The engine, or None when the URL is not ours; what is missing on this machine is said here and not at start."""
    if not url.startswith(f"{SCHEME}:"):
        return None
    options = options_of(url)
    for module in _NEEDED:
        if find_spec(module) is None:
            raise MissingExtra(module, install="pip install 'agl-transformers[transformers]'")
    if not (options.folder / "config.json").is_file():
        raise ModelNotFound(name, why=f"{options.folder} is not a model's folder: it has no config.json")
    # Before torch is imported: threads that wait in a spin take the core that the work needs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from agl_transformers._engine import TransformersEngine

    return TransformersEngine(options, url=url, name=name)


def options_of(url: str) -> Options:
    """The options a URL spells; one that is unknown or senseless is refused by name."""
    parts = urlsplit(url)
    given: dict[str, Any] = {}
    for key, text in parse_qsl(parts.query, keep_blank_values=True):
        if key not in _READERS:
            raise BadValue(f"option {key!r} of {url!r}", text, why=f"known: {', '.join(sorted(_READERS))}")
        given[key] = _READERS[key](key, text)
    return Options(folder=Path(unquote(parts.netloc + parts.path)).expanduser(), **given)


def _count(key: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise BadValue(key, text, why="it is a whole number from 1 up")
    return int(text)


def _dtype(key: str, text: str) -> str:
    if text not in _DTYPES:
        raise BadValue(key, text, why=f"known: {', '.join(_DTYPES)}")
    return text


def _text(_key: str, text: str) -> str:
    return text


_READERS: Mapping[str, Callable[[str, str], Any]] = {
    "device": _text,
    "dtype": _dtype,
    "max_batch": _count,
    "max_len": _count,
    "threads": _count,
}
