"""What every exporter promises, as tests to inherit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from agl_core.errors import ExportEmpty
from agl_core.export import Exporter

__all__ = ["ExporterContract"]


class ExporterContract:
    """Inherit, and override `exporter` and `rows`."""

    @pytest.fixture
    def exporter(self) -> Exporter[Any]:
        """The exporter."""
        raise NotImplementedError("override the fixture `exporter`")

    @pytest.fixture
    def rows(self) -> Sequence[Any]:
        """Rows of its adapter, one or more of which it can hold."""
        raise NotImplementedError("override the fixture `rows`")

    @pytest.fixture
    def place(self, exporter: Exporter[Any], tmp_path: Path) -> Path:
        """Where it writes to: a name of its own in a folder where nothing else is."""
        (tmp_path / "here").mkdir()
        return tmp_path / "here" / f"rows{exporter.suffixes[0] if exporter.suffixes else ''}"

    def test_it_says_what_it_is(self, exporter: Exporter[Any]) -> None:
        """By a name that can be typed, a line of help, suffixes, and fields that can be options."""
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]*", exporter.name)
        assert exporter.help.strip()
        assert "\n" not in exporter.help
        assert all(re.fullmatch(r"\.[a-z0-9]+", suffix) for suffix in exporter.suffixes)
        assert hasattr(exporter, "__dataclass_fields__")
        assert exporter.adapter

    def test_what_it_writes_is_there_and_nothing_beside_it(
        self, exporter: Exporter[Any], rows: Sequence[Any], place: Path
    ) -> None:
        """A file, or a folder where it has no suffix; and it counts what it wrote."""
        told = exporter.write(iter(rows), place)

        assert told.path == place
        assert told.written > 0
        assert all(count > 0 for count in told.skipped.values())
        assert place.is_dir() != bool(exporter.suffixes)
        assert [path.name for path in place.parent.iterdir()] == [place.name]

    def test_the_same_rows_are_the_same_bytes(self, exporter: Exporter[Any], rows: Sequence[Any], place: Path) -> None:
        """Also where something of that name was before."""
        exporter.write(iter(rows), place)
        first = _bytes(place)

        exporter.write(iter(rows), place)

        assert _bytes(place) == first

    def test_of_no_rows_nothing_is_written(self, exporter: Exporter[Any], place: Path) -> None:
        """An empty file is read as data by whoever gets it."""
        with pytest.raises(ExportEmpty):
            exporter.write(iter(()), place)

        assert list(place.parent.iterdir()) == []

    @pytest.mark.parametrize("error", [ValueError("no more"), KeyboardInterrupt()], ids=["error", "interrupt"])
    def test_what_breaks_off_leaves_nothing(
        self, exporter: Exporter[Any], rows: Sequence[Any], place: Path, error: BaseException
    ) -> None:
        """Where there was nothing before."""
        with pytest.raises(type(error)):
            exporter.write(_breaking(rows, error), place)

        assert list(place.parent.iterdir()) == []

    def test_what_breaks_off_leaves_what_was_there(
        self, exporter: Exporter[Any], rows: Sequence[Any], place: Path
    ) -> None:
        """To the byte."""
        exporter.write(iter(rows), place)
        before = _bytes(place)

        with pytest.raises(ValueError, match="no more"):
            exporter.write(_breaking(rows, ValueError("no more")), place)

        assert _bytes(place) == before
        assert [path.name for path in place.parent.iterdir()] == [place.name]


def _breaking(rows: Sequence[Any], error: BaseException) -> Iterator[Any]:
    yield from rows
    raise error


def _bytes(place: Path) -> dict[str, bytes]:
    files = sorted(path for path in ([place] if place.is_file() else place.rglob("*")) if path.is_file())
    return {str(path.relative_to(place)): path.read_bytes() for path in files}
