"""What all tests of the workspace share: contracts that explain themselves, and properties that ignore the clock."""

import os

import pytest
from hypothesis import HealthCheck, settings

# The asserts of inherited contracts say what differs, as those in test files do.
pytest.register_assert_rewrite("agl_core.testing")


EXAMPLES = int(os.environ.get("AGL_EXAMPLES", "40"))
"""Of each property, where it does not say itself how many; `make slow` asks for more."""


def pytest_configure() -> None:
    """A busy machine is no reason to fail: how long an example takes is never the claim."""
    settings.register_profile("agl", max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("agl")
