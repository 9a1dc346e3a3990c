"""Logs by their address."""

import pytest

import agl_core as agl
from agl_core.errors import BadValue
from agl_core.events import NoteTaken
from agl_core.record import Draft

FULL, NORMAL = 2, 1
"""What SQLite calls them."""


@pytest.mark.parametrize(
    ("options", "synchronous"), [("", NORMAL), ("?durability=normal", NORMAL), ("?durability=full", FULL)]
)
def test_an_address_says_how_durable(tmp_path, options, synchronous):
    """SQLite syncs its write-ahead log at each commit, or leaves that to a checkpoint."""
    with agl.open_log(f"sqlite:///{tmp_path}/log.db{options}") as log:
        log.append([Draft(stream="log", event=NoteTaken(text="a"))])

        assert log._writer._db.execute("pragma synchronous").fetchone() == (synchronous,)
        assert log.path == tmp_path / "log.db"


@pytest.mark.parametrize("options", ["?durability=most", "?speed=full", "?durability"])
def test_an_option_that_is_none_is_refused(tmp_path, options):
    """A durability that nobody gives must not be promised."""
    with pytest.raises(BadValue, match="durability=full"):
        agl.open_log(f"sqlite:///{tmp_path}/log.db{options}")

    assert list(tmp_path.iterdir()) == []
