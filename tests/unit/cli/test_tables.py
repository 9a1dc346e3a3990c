"""Tables lose nothing, wherever they are printed."""

import io
import sys

import pytest

from agl_core.cli._tables import print_table

ID = "ro-01m820qtpnq52ac652cjthsj10"


class Terminal(io.StringIO):
    """A screen."""

    def isatty(self):
        """It says so."""
        return True


@pytest.fixture
def printed(monkeypatch):
    """What a table comes to, on a narrow screen or in a pipe."""

    def print_to(stream, rows):
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setenv("COLUMNS", "40")
        print_table(("rollout", "status", "started", "n"), rows)
        return stream.getvalue()

    return print_to


@pytest.mark.parametrize("stream", [Terminal, io.StringIO], ids=["terminal", "pipe"])
def test_ids_and_numbers_stay_whole(printed, stream):
    """To be copied; the screen may break the line, we do not cut it."""
    shown = printed(stream(), [(ID, "succeeded", "2026-11-22 16:16:59", 12), (ID, None, "2026-11-22 16:16:59", 3)])

    rows = [line.split() for line in shown.splitlines() if ID in line]
    assert rows == [
        [ID, "succeeded", "2026-11-22", "16:16:59", "12"],
        [ID, "-", "2026-11-22", "16:16:59", "3"],
    ]


def test_a_pipe_gets_aligned_lines_one_a_row(printed):
    """Numbers right, words left, no line broken; what comes after the first thousand rows follows their widths."""
    shown = printed(io.StringIO(), [("a\nb", "x", "y", number) for number in range(1100)])

    lines = shown.splitlines()
    assert lines[:2] == ["rollout  status  started    n", "a\\nb     x       y          0"]
    assert len(lines) == 1101
    assert lines[-1].split() == ["a\\nb", "x", "y", "1099"]
