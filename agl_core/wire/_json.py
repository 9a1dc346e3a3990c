"""Bytes from outside, read as a JSON object, with one error for all that may be wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["json_object", "read"]


def json_object(raw: bytes) -> dict[str, Any]:
    """The object that `raw` is; a `ValueError` that says why when it is none."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - the type of a value from outside is its content
    return value


def read(raw: bytes, asked: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - a dialect may read only what was asked for
    """The answer to `asked`, from its bytes; a `ValueError` that says why it is none."""
    return json_object(raw)
