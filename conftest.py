"""What all tests of the workspace share: contracts that explain themselves, and properties that ignore the clock."""

import os

import pytest
from hypothesis import HealthCheck, settings

# The asserts of inherited contracts say what differs, as those in test files do.
pytest.register_assert_rewrite("agl_core.testing")


EXAMPLES = int(os.environ.get("AGL_EXAMPLES", "40"))
"""Of each property, where it does not say itself how many; `make slow` asks for more."""

NEW_EXAMPLES = bool(os.environ.get("AGL_NEW_EXAMPLES"))
"""Whether each run draws examples of its own, as `make soak` does. A gate draws the same ones for the same code."""


def pytest_configure() -> None:
    """How long an example takes, and how large it is, is never the claim."""
    settings.register_profile(
        "agl",
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=not NEW_EXAMPLES,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    settings.load_profile("agl")
