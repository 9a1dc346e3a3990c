"""Data sets of the Hugging Face Hub, opened by its own library where that is installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any
from urllib.parse import parse_qsl

from agl_core.errors import BadValue, MissingExtra

__all__ = ["is_address", "names_split", "opened"]

_SCHEME = "hf://"
_FORM = "write it as hf://OWNER/NAME, with ?name=CONFIG, &revision= or &split= where they matter"
_KINDS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "json", ".json": "json"}


def is_address(path: str) -> bool:
    """Whether it begins as one on the Hub."""
    return path.startswith(_SCHEME)


def names_split(path: str) -> bool:
    """Whether the address itself says which split."""
    return "split" in _asked(path)[1]


def opened(path: str) -> Any:
    """What the Hub has there: a data set, or several by split. Raises `MissingExtra`, and `BadValue`."""
    place, options = _asked(path)
    if find_spec("datasets") is None:
        raise MissingExtra("datasets", install="pip install datasets")
    library = import_module("datasets")
    kind = next((kind for suffix, kind in _KINDS.items() if place.endswith(suffix)), None)
    try:
        if kind is not None:
            found = library.load_dataset(kind, data_files=f"{_SCHEME}datasets/{place}", **options)
        else:
            found = library.load_dataset(place, **options)
    except (OSError, ValueError, RuntimeError, KeyError) as error:  # what it raises has many parents
        raise BadValue("data set", path, why=f"{type(error).__name__}: {error}") from None
    return found


def _asked(path: str) -> tuple[str, dict[str, str]]:
    place, _, query = path.removeprefix(_SCHEME).removeprefix("datasets/").partition("?")
    options = dict(parse_qsl(query))
    if "/" not in place.strip("/") or options.keys() - {"name", "revision", "split"}:
        raise BadValue("data set", path, why=_FORM)
    return place, options
