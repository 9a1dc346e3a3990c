"""Facts as JSON lines: an event a line, its data as the very text that the log keeps."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from agl_core.log import ENVELOPE, Page

__all__ = ["write_lines"]

_NAMES = [name for name, _ in ENVELOPE]
_DATA = _NAMES.index("data")
_BLANK = (" ", "\t", "\r", "\n")


def write_lines(path: Path, pages: Iterable[Page]) -> None:
    """One self-contained file: the blobs stand with the event that needed them first."""
    with path.open("xb") as file:
        for page in pages:
            file.writelines(_lines(page))


def _lines(page: Page) -> Iterator[bytes]:
    encode = msgspec.json.Encoder().encode
    for row in page.rows:
        line = dict(zip(_NAMES, row, strict=True))
        line |= _as_written(row[_DATA])
        if blobs := page.blobs.get(row[0]):
            line["blobs"] = [_blob(id_, content) for id_, content in blobs]
        if seal := page.seals.get(row[0]):
            line["seal"] = seal.hex()
        yield encode(line) + b"\n"


def _as_written(data: str) -> dict[str, Any]:
    """As it stands, which keeps every byte; as text where it would not be one line, or not be given back whole."""
    if "\n" in data or "\r" in data or data.startswith(_BLANK) or data.endswith(_BLANK):
        return {"data": None, "text": data}
    return {"data": msgspec.Raw(data.encode())}


def _blob(id_: str, content: bytes) -> dict[str, str]:
    try:
        return {"id": id_, "text": content.decode()}
    except UnicodeDecodeError:
        return {"id": id_, "base64": b64encode(content).decode()}
