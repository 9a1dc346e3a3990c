"""Chat transcripts and preference pairs, for SFT, DPO and prompt work."""

from __future__ import annotations
