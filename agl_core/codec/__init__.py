"""Events to bytes and back: canonical JSON, big values out of line, old schemas up the ladder."""

from __future__ import annotations

from agl_core.codec._codec import Codec, Encoded
from agl_core.codec._unpacking import before, references

__all__ = ["Codec", "Encoded", "before", "references"]
