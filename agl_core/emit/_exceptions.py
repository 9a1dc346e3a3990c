"""An exception as attributes, by OpenTelemetry's names."""

from __future__ import annotations

import traceback
from typing import Any

__all__ = ["format_exception_attributes"]


def format_exception_attributes(exception: BaseException) -> dict[str, Any]:
    """Its type, what it says and where it came from."""
    kind = type(exception)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return {
        "exception.type": f"{module}{kind.__qualname__}",
        "exception.message": str(exception),
        "exception.escaped": True,
        "exception.stacktrace": "".join(traceback.format_exception(exception)),
    }
