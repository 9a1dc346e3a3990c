"""Logging to stderr, with a level for all and others for some."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping

__all__ = ["setup_logging"]


def setup_logging(level: str | int = "INFO", *, modules: Mapping[str, str | int] | None = None) -> None:
    """Send our log lines to stderr; `modules` sets levels of single modules, such as `{"agl_core.runner": "DEBUG"}`.

    Calling it again changes the levels and adds no second handler.
    """
    logger = logging.getLogger("agl_core")
    if not any(getattr(handler, "is_agl", False) for handler in logger.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S"))
        handler.is_agl = True  # type: ignore[attr-defined]  # how we know it again
        logger.addHandler(handler)
    logger.setLevel(level if isinstance(level, int) else level.upper())
    for name, own in (modules or {}).items():
        logging.getLogger(name).setLevel(own if isinstance(own, int) else own.upper())
