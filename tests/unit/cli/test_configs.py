"""Hyper-parameters that may be a name or a mapping, on the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from agl_core.cli._configs import config_options, configured
from agl_core.errors import BadValue


@pytest.mark.parametrize(
    ("given", "value"), [("discounted", "discounted"), ('{"rule": "final", "gamma": 1}', {"rule": "final", "gamma": 1})]
)
def test_a_field_that_is_a_name_or_a_mapping_takes_both(given, value):
    """A name as it is, a mapping as JSON; and half a mapping is no name."""

    @dataclass
    class Either:
        credit: str | Mapping[str, Any] = "final"

    (option,) = config_options(Either, taken=())
    values = configured(Either, "either", file={}, sets=[], options={"credit": given})

    assert values == {"credit": value}
    assert option.metavar == "TEXT|JSON"
    with pytest.raises(BadValue, match="credit"):
        configured(Either, "either", file={}, sets=['credit={"rule"'], options={})
