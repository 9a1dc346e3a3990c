"""What GRPO does not learn from."""

import pytest
from agl_grpo import Grpo

import agl_core as agl
from agl_core.errors import NotOffline


def test_a_log_alone_is_refused_with_the_reason(monkeypatch, tmp_path):
    """Which weights sampled what a log has, nobody can tell: the code names who learns from such rollouts."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "grpo")

    with pytest.raises(NotOffline, match=r"^grpo cannot learn from a log alone: its ratios are to the weights"):
        agl.Trainer(algorithm=Grpo(), store=str(tmp_path / "log.db"), no_rollouts=True).fit(None)
