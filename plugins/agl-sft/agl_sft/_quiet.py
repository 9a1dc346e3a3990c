"""What TRL, PEFT and transformers have to settle among themselves is kept from whoever trains."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]

_BY_ITS_OLD_NAME = r"`(is_)?gradient_checkpointing(_kwargs)?` is deprecated"
"""TRL sets that, and PEFT asks for it, on every model; transformers has another name for it."""


@contextmanager
def quiet() -> Iterator[None]:
    """Without those warnings, and with all others."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _BY_ITS_OLD_NAME, FutureWarning)
        yield
