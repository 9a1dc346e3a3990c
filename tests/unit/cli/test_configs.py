"""Hyper-parameters that may be a name or a mapping, on the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from agl_core.cli._configs import config_options, configured
from agl_core.errors import BadValue, UnknownName


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


def test_what_belongs_to_the_class_is_no_option():
    """The name of a judge or an algorithm stands beside its fields, and is not theirs."""

    @dataclass
    class Named:
        name: ClassVar[str] = "named"
        size: int = 1

    with pytest.raises(UnknownName, match="known: size"):
        configured(Named, "named", file={}, sets=["name=other"], options={})
