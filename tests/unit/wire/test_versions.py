"""A server may say which weights spoke, in one of two ways; anything else is no version."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.wire import policy_version

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["weight_version", "other"]), inner),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("body", "version"),
    [
        ({"policy_version": 3}, 3),
        ({"metadata": {"weight_version": "12"}}, 12),
        ({"policy_version": 3, "metadata": {"weight_version": "12"}}, 3),
        ({"metadata": {"weight_version": "default"}}, None),
        ({"metadata": {"weight_version": "9" * 30}}, None),
        ({"policy_version": True}, None),
        ({}, None),
    ],
)
def test_a_version_is_a_number(body: dict[str, Any], version: int | None):
    """Of ours, or of SGLang; its `default` is a name, and no number."""
    assert policy_version(body) == version


@given(st.fixed_dictionaries({}, optional={"policy_version": JSON, "metadata": JSON}))
def test_whatever_a_server_says_it_does_not_raise(body: dict[str, Any]):
    """And what comes out fits a column of the log."""
    version = policy_version(body)

    assert version is None or isinstance(version, int)
