"""`messages` and `preferences` keep what every adapter promises."""

import pytest
from agl_messages import Messages, Preferences

from agl_core.testing import AdapterContract


class TestMessages(AdapterContract):
    """Whatever a row is made of."""

    @pytest.fixture(params=["trajectory", "call"])
    def adapter(self, request):
        """Without a filter."""
        return Messages(request.param)


class TestFiltered(AdapterContract):
    """Where rewards decide."""

    @pytest.fixture
    def adapter(self):
        """The best one of each task, of those that earned something."""
        return Messages(best_of=1, at_least=0.5, succeeded=True)


class TestOneAgent(AdapterContract):
    """Where one agent of many is looked at."""

    @pytest.fixture
    def adapter(self):
        """The writer."""
        return Messages(agent="writer")


class TestPreferences(AdapterContract):
    """Pairs."""

    @pytest.fixture(params=["best_vs_worst", "all_pairs"])
    def adapter(self, request):
        """Of single answers, so that a conversation and a single call have the same prompt."""
        return Preferences("call", strategy=request.param)
