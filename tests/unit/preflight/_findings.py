"""What findings come to, in a pair each."""

from __future__ import annotations

from agl_core.preflight import Finding


def said(found: list[Finding]) -> list[tuple[str, str]]:
    """Status and code of each."""
    return [(finding.status, finding.code) for finding in found]
