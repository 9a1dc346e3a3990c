"""Schemas change, and old facts keep their meaning: every ladder is whole, or no process starts with it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agl_core import hookimpl
from agl_core.codec import Codec
from agl_core.errors import UpcastGap
from agl_core.events import CORE_EVENTS, Event, NoteTaken, Unknown, Upcast, Vocabulary, event
from agl_core.export import export_log, import_log
from agl_core.log import SqliteLog, copy, rebuild, recover, verify
from agl_core.plugins import Plugins
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.testing import strategies

SCHEMAS = st.integers(1, 6)


def climbed(last):
    """An event at schema `last`, that remembers each rung it came up by."""

    @event("tree.climbed", schema=last)
    class TreeClimbed(Event):
        rungs: tuple[int, ...] = ()

    return TreeClimbed


def rung(since, type_="tree.climbed"):
    """From `since` to the next."""
    return Upcast(type_, since, lambda data: {"rungs": [*data["rungs"], since]})


def ladder(last):
    """All of them."""
    return [rung(since) for since in range(1, last)]


@given(SCHEMAS, st.data())
def test_a_fact_of_any_schema_takes_every_rung_above_it(last, data):
    """Once, in order, and none below."""
    since = data.draw(st.integers(1, last))
    rungs = data.draw(st.permutations(ladder(last)))

    found = Codec(Vocabulary([climbed(last)], rungs)).decode("tree.climbed", since, '{"rungs":[]}', {}.__getitem__)

    assert found.rungs == tuple(range(since, last))


@given(st.integers(2, 6), st.data())
def test_a_ladder_with_a_gap_is_refused(last, data):
    """Whichever rungs are missing, and whatever else is there."""
    missing = data.draw(st.sets(st.integers(1, last - 1), min_size=1))
    rungs = [one for one in ladder(last) if one.since not in missing]

    with pytest.raises(UpcastGap, match=f"from {min(missing)} to {min(missing) + 1} is missing"):
        Vocabulary([climbed(last)], rungs)


@given(SCHEMAS, st.integers(-3, 12).filter(lambda since: since < 1 or since > 6))
def test_a_ladder_that_leads_in_a_circle_is_refused(last, since):
    """From today's schema there is no way up, nor from one that never was."""
    for astray in (since, last):
        with pytest.raises(UpcastGap, match="circle"):
            Vocabulary([climbed(last)], [*ladder(last), rung(astray)])


@given(st.integers(2, 6), st.data())
def test_two_ways_up_are_refused(last, data):
    """Which one was meant, nobody could tell."""
    again = data.draw(st.integers(1, last - 1))

    with pytest.raises(UpcastGap, match="two rungs"):
        Vocabulary([climbed(last)], [*ladder(last), rung(again)])


@given(SCHEMAS)
def test_a_rung_for_no_event_is_refused(last):
    """It was renamed, or misspelt."""
    with pytest.raises(UpcastGap, match="no event has that name"):
        Vocabulary([climbed(last)], [*ladder(last), rung(1, "tree.climbd")])


# --- what this process does not know


@settings(max_examples=10, deadline=None)
@given(st.lists(strategies.unknowns(), min_size=1, max_size=5))
def test_unknown_types_survive_every_way_there_is(tmp_path_factory, facts):
    """Export, import, copy, recovery, rebuild: bytes for bytes."""
    folder = tmp_path_factory.mktemp("unknown")
    with SqliteLog(folder / "log.db", projections=CORE) as log:
        log.append([Draft(stream="log", event=fact) for fact in facts])
        written = log.rows("select type, schema, data from events")
        export_log(log, folder / "log.parquet")
        copy(log.path, folder / "copy.db", projections=CORE)
        rebuild(log.path, CORE)
    import_log(folder / "log.parquet", folder / "imported.db")
    recover(folder / "log.db", folder / "recovered.db", projections=CORE)

    for name in ("log", "copy", "imported", "recovered"):
        with SqliteLog(folder / f"{name}.db", projections=CORE) as log:
            assert log.rows("select type, schema, data from events") == written
            assert [record.event for record in log.read()] == facts
            assert list(verify(log)) == []


# --- a plugin that is gone


@event("taste.given", schema=1)
class TasteGiven(Event):
    """A plugin's own fact."""

    dish: str
    stars: int


class Tasting:
    """A plugin that brings it."""

    @hookimpl
    def agl_register_events(self):
        """What it has to say."""
        return [TasteGiven]


def test_a_log_opens_without_the_plugin_that_wrote_it(tmp_path):
    """Its facts are kept as they came, and mean what they meant when it is back."""
    plugins = Plugins()
    plugins.register(Tasting(), name="tasting")
    with SqliteLog(tmp_path / "log.db", projections=CORE, codec=plugins.codec()) as log:
        log.append([Draft(stream="log", event=TasteGiven(dish="soup", stars=5))])

    with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
        (record,) = log.read()
        log.append([Draft(stream="log", event=NoteTaken(text="without it"))])
        assert list(verify(log)) == []

    assert record.event == Unknown(name="taste.given", version=1, data={"dish": "soup", "stars": 5})
    with SqliteLog(tmp_path / "log.db", projections=CORE, codec=plugins.codec()) as log:
        assert [one.event for one in log.read()] == [TasteGiven(dish="soup", stars=5), NoteTaken(text="without it")]


def test_a_later_schema_is_as_unknown_as_a_type(tmp_path):
    """The file was written by a release that comes after this one."""
    later = Codec(Vocabulary([*CORE_EVENTS, climbed(2)], ladder(2)))
    today = Codec(Vocabulary([*CORE_EVENTS, climbed(1)]))
    with SqliteLog(tmp_path / "log.db", projections=CORE, codec=later) as log:
        log.append([Draft(stream="log", event=climbed(2)(rungs=(7,)))])

    with SqliteLog(tmp_path / "log.db", projections=CORE, codec=today) as log:
        (record,) = log.read()

    assert record.event == Unknown(name="tree.climbed", version=2, data={"rungs": [7]})
