"""How well a batch came out of the log: each figure by hand."""

from __future__ import annotations

from dataclasses import dataclass

from agl_grpo._health import health

from agl_core.adapter import Adapted, Dropped


@dataclass(frozen=True)
class Row:
    """What is looked at."""

    began: str
    staleness: tuple


def test_a_batch_says_what_was_kept_merged_broken_and_stale():
    """Of seven answers in four rows three continue one; two conversations broke; nobody knows of one how old it is."""
    rows = [
        Row("start", (0, 0, 1)),
        Row("retokenised", (1, 2)),
        Row("retokenised", (None,)),
        Row("other_agent", (2,)),
    ]
    lost = [Dropped(call_id=f"ca-{n}", rollout_id="ro-1", reason=reason) for n, reason in enumerate(["b", "a", "b"])]

    found = health(Adapted(rows=rows, dropped=lost, kept=7))

    assert found == {
        "calls/kept": 7,
        "calls/dropped": 3,
        "calls/merged": 3 / 7,
        "dropped/a": 1,
        "dropped/b": 2,
        "breaks/retokenised": 2,
        "staleness/mean": 1.0,
        "staleness/max": 2,
    }


def test_a_batch_without_rows_says_only_why():
    """A share of nothing is no number."""
    lost = [Dropped(call_id="ca-1", rollout_id="ro-1", reason="no_reward")]

    assert health(Adapted(rows=[], dropped=lost, kept=0)) == {
        "calls/kept": 0, "calls/dropped": 1, "dropped/no_reward": 1,
    }  # fmt: skip
