"""An exception as attributes, by OpenTelemetry's names."""

from __future__ import annotations

import traceback
from typing import Any

__all__ = ["exception_attributes", "format_exception_attributes"]


def format_exception_attributes(exception: BaseException) -> dict[str, Any]:
    """Its type, what it says and where it came from."""
    kind = type(exception)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    stack = "".join(traceback.format_exception(exception))
    told = exception_attributes(str(exception), type=f"{module}{kind.__qualname__}", stacktrace=stack)
    return {**told, "exception.escaped": True}


def exception_attributes(message: str, *, type: str = "Exception", stacktrace: str | None = None) -> dict[str, Any]:
    """What is said of an exception that is not here; where it came from may be unknown."""
    told = {"exception.type": type, "exception.message": message}
    return told if stacktrace is None else {**told, "exception.stacktrace": stacktrace}
