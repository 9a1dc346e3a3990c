"""Whatever stands in a source, an import ends: what is strange is a reason or is in, and never a traceback."""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agl_core.importing import Imported, import_rows
from agl_core.importing._writing import write
from agl_core.log import SqliteLog, verify
from agl_core.projections import CORE

from .test_atif import TRAJECTORY
from .test_jsonl import CHAT, PAIR
from .test_otlp import REWARD, ROOT, chat, request

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["agl", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SOURCES = {
    "jsonl": [CHAT, PAIR],
    "otlp": [request(chat(2, "It is 42.", ids=[7, 8]), REWARD, ROOT)],
    "atif": [{**TRAJECTORY, "extra": {"reward": 1, "agl": {"task": 1, "metadata": {}, "exit_status": "timeout"}}}],
}


def places(said, path=()):
    """The way to each value in it."""
    yield path
    inner = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    for name, value in inner:
        yield from places(value, (*path, name))


def changed(said, path, value):
    """With another value at that place; without it where there is none."""
    if not path:
        return value
    made = copy.copy(said)
    if value is ... and len(path) == 1:
        del made[path[0]]
        return made
    made[path[0]] = changed(said[path[0]], path[1:], value)
    return made


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One log for all: what is strange to it is strange to a log that holds something."""
    with SqliteLog(tmp_path_factory.mktemp("strange") / "log.db", projections=CORE) as log:
        yield log


@pytest.mark.parametrize("format", SOURCES)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_strange_value_anywhere_is_a_reason_or_is_in(format, shared, tmp_path, data):
    """One value of a good source replaced by any other, or left out."""
    said = data.draw(st.sampled_from(SOURCES[format]))
    path = data.draw(st.sampled_from([place for place in places(said) if place]))
    strange = changed(said, path, data.draw(ANYTHING | st.just(...)))
    # Another format by its looks is another test's.
    source = tmp_path / "source.json"
    source.write_text(json.dumps(strange) + "\n")

    reads = {"jsonl": "_jsonl", "otlp": "_otlp", "atif": "_atif"}
    module = __import__(f"agl_core.importing.{reads[format]}", fromlist=["read"])
    came = write(shared, module.read(source, run_id="run-strange"), format=format, name="strange")

    assert isinstance(came, Imported)
    assert all(one.code.startswith(("IMPORT_", "BAD_", "KEY_")) for one in came.reasons), came.reasons


def test_what_was_strange_left_a_sound_log(shared):
    """Nothing half-written, and nothing that cannot be read back."""
    assert list(verify(shared)) == []
    assert all(record.event for record in shared.read())


def test_an_empty_file_is_nothing(log, tmp_path):
    """Of every format that is a file of lines."""
    source = tmp_path / "empty"
    source.write_text("")

    for lines in ("jsonl", "otlp"):
        assert import_rows(log, lines, source).rollouts == 0
    (refused,) = import_rows(log, "atif", source).reasons
    assert refused.code == "IMPORT_LINE_BAD"
