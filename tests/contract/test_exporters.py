"""The core's exporters keep what every exporter promises, on rows of the adapters of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import pytest

from agl_core.errors import UnknownName
from agl_core.export.rows import Trl, write_records
from agl_core.plugins import Plugins
from agl_core.testing import ExporterContract
from agl_core.testing._adapter_contract import _batch

CORE = ("openai-sft", "openai-dpo", "sharegpt", "trl", "hf", "jsonl", "triplets", "atif", "verl-sft")


@cache
def plugins():
    """Those that are installed here."""
    return Plugins.load()


def rows_for(exporter):
    """What its adapter makes of a batch in which everything happens."""
    try:
        kind = plugins().adapter(exporter.adapter)
    except UnknownName:
        pytest.skip(f"no plugin here has the adapter {exporter.adapter}")
    return kind(**exporter.options)(_batch()).rows


class TestCore(ExporterContract):
    """Each as it is by itself."""

    @pytest.fixture(params=CORE)
    def exporter(self, request):
        """By its name."""
        return plugins().exporters()[request.param]()

    @pytest.fixture
    def rows(self, exporter):
        """Of its adapter."""
        return rows_for(exporter)


class TestShapes(TestCore):
    """Each shape of TRL's."""

    @pytest.fixture(params=["messages", "prompt-completion", "preference", "kto", "tokens"])
    def exporter(self, request):
        """Told so."""
        return Trl(shape=request.param)


class TestParquet(TestShapes):
    """In columns."""

    @pytest.fixture
    def place(self, tmp_path):
        """By its suffix."""
        (tmp_path / "here").mkdir()
        return tmp_path / "here" / "rows.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Toy:
    """The least that an exporter is."""

    name: ClassVar[str] = "toy"
    help: ClassVar[str] = "Numbers."
    suffixes: ClassVar[tuple[str, ...]] = (".json",)
    adapter: ClassVar[str] = "numbers"
    options: ClassVar[Mapping[str, Any]] = {}

    def write(self, rows, path):
        """As an array."""
        return write_records(({"n": row} for row in rows), path)


class TestToy(ExporterContract):
    """Without an adapter of ours."""

    @pytest.fixture
    def exporter(self):
        """The toy."""
        return Toy()

    @pytest.fixture
    def rows(self):
        """Numbers."""
        return [1, 2, 3]
