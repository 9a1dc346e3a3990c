"""The checks that come with the core, in the order in which they are told."""

from __future__ import annotations

from agl_core.preflight import _data, _hardware, _keys, _mcp, _models, _packages, _place

__all__ = ["CHECKS"]

CHECKS = (
    *_packages.CHECKS,
    *_place.CHECKS,
    *_keys.CHECKS,
    *_models.CHECKS,
    *_hardware.CHECKS,
    *_mcp.CHECKS,
    *_data.CHECKS,
)
