"""Logs by their address."""

import asyncio

import pytest

import agl_core as agl
from agl_core.errors import BadValue, NothingPromoted
from agl_core.events import NoteTaken
from agl_core.record import Draft
from agl_core.store import Store

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


def test_the_best_resources_are_those_that_counted_then(tmp_path):
    """By the position that is named; now, those that were promoted last."""
    address = str(tmp_path / "log.db")
    with agl.open_log(address) as log:
        store = Store(log)
        first = asyncio.run(store.add_resources({"prompt": agl.PromptTemplate("a")}))
        asyncio.run(store.promote(first))
        then = log.head()
        second = asyncio.run(store.update_resources(first.resources_id, {"prompt": agl.PromptTemplate("b")}))
        asyncio.run(store.promote(second))
        store.close()

    assert agl.best_resources(address, at=then).version == 1
    assert agl.best_resources(address).version == 2
    with pytest.raises(NothingPromoted):
        agl.best_resources(address, at=then - 1)
