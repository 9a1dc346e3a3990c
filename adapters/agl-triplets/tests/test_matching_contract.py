"""v0.3's adapters, and the credit made of its rule, keep what every adapter promises."""

import pytest
from agl_triplets import LlmProxyTraceToTriplet, Matched, RewardMatchPolicy, TracerTraceToTriplet

from agl_core.testing import AdapterContract


class TestTracerTriplets(AdapterContract):
    """By both rules."""

    @pytest.fixture(params=list(RewardMatchPolicy))
    def adapter(self, request):
        """Of all agents."""
        return TracerTraceToTriplet(reward_match=request.param)


class TestTracerTripletsOfOneAgent(AdapterContract):
    """Where one agent of many is trained, and calls without ids are left out."""

    @pytest.fixture
    def adapter(self):
        """The writer."""
        return TracerTraceToTriplet(agent_match="^writer$", _skip_empty_token_spans=True)


class TestProxyTriplets(AdapterContract):
    """Without a tree."""

    @pytest.fixture
    def adapter(self):
        """It has no settings to speak of."""
        return LlmProxyTraceToTriplet()


class TestMatched(AdapterContract):
    """As a credit."""

    @pytest.fixture(params=list(RewardMatchPolicy))
    def adapter(self, request):
        """By both rules."""
        return Matched(reward_match=request.param)
