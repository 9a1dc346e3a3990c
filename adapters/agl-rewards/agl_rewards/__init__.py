"""Credit assignment: what each call earned, and the sum it comes from."""

from __future__ import annotations
