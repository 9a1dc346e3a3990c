"""`triplets` keeps what every adapter promises."""

import pytest
from agl_triplets import Triplets

from agl_core.testing import AdapterContract


class TestTriplets(AdapterContract):
    """Whatever a row is made of, and whoever is looked at."""

    @pytest.fixture(params=["trajectory", "transition"])
    def adapter(self, request):
        """A group of one is enough."""
        return Triplets(request.param, min_group=1)


class TestGroups(AdapterContract):
    """Where a task must have been tried twice."""

    @pytest.fixture
    def adapter(self):
        """By trajectory."""
        return Triplets("trajectory", min_group=2)


class TestOneAgent(AdapterContract):
    """Where one agent of many is trained."""

    @pytest.fixture
    def adapter(self):
        """The writer."""
        return Triplets("trajectory", agent="writer", min_group=1)
