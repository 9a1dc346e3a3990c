"""`rewards` keeps what every adapter promises, whatever its rule."""

import pytest
from agl_rewards import Rewards

from agl_core.testing import AdapterContract


class TestRewards(AdapterContract):
    """Each rule alone."""

    @pytest.fixture(params=["final", "sum", "per_call", "discounted", "per_agent", "group_relative"])
    def adapter(self, request):
        """With nothing else said."""
        return Rewards(request.param)


class TestOptions(AdapterContract):
    """What a rule may be told."""

    @pytest.fixture(
        params=[
            Rewards("discounted", gamma=0.5),
            Rewards("per_call", otherwise="final"),
            Rewards("per_agent", otherwise="final"),
            Rewards("group_relative", of="sum", normalise_std=False),
            Rewards("group_relative", of="per_agent"),
            Rewards(reward={"primary": 0.5, "style": 0.5}),
            Rewards(agent="writer"),
        ],
        ids=repr,
    )
    def adapter(self, request):
        """Each said."""
        return request.param
