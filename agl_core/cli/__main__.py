"""`python -m agl_core.cli`: the same as `agl`."""

from __future__ import annotations

from agl_core.cli import main

main()
