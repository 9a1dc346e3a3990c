"""The tap goes in once and comes out whole: every patched name is the very object it was."""

from __future__ import annotations

import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from types import ModuleType, SimpleNamespace

import pytest

from agl_core.errors import TracerFailed
from agl_core.recorder import Recorder
from agl_core.tap import tapped, tapping
from agl_core.tap._patch import Patch
from agl_core.tap._tapped import LIBRARIES, Tap


def names(library):
    """Every patched attribute of a library, and what it is at this moment."""
    patches = LIBRARIES[library.__name__](library)
    return {(patch._owner, patch._name): vars(patch._owner)[patch._name] for patch in patches}


def are(one, other):
    """Whether both have the very same objects."""
    return one.keys() == other.keys() and all(one[name] is other[name] for name in one)


def test_every_patched_name_is_the_very_object_it_was(http):
    """By identity, for each of them; and each was another one meanwhile."""
    before = names(http)

    with tapped():
        during = names(http)

    assert are(names(http), before)
    assert before
    assert all(during[name] is not before[name] for name in before)


def test_what_the_agent_raises_comes_out_and_the_tap_with_it(http):
    """The tap is not a place where errors stay."""
    before = names(http)

    with pytest.raises(ValueError, match="mine"), tapped():
        raise ValueError("mine")

    assert are(names(http), before)


def test_the_second_to_enter_finds_it_there_and_the_last_to_leave_takes_it_out(http):
    """It is counted, and put in once."""
    before = names(http)

    with tapped():
        first = names(http)
        with tapped():
            second = names(http)
        third = names(http)

    assert are(first, second)
    assert are(second, third)
    assert are(names(http), before)


def test_threads_may_enter_and_leave_at_the_same_time(http):
    """Whoever is inside finds it in place, whatever the others do."""
    before, together = names(http), Barrier(8)

    def work(_number):
        together.wait()
        seen = []
        for _ in range(50):
            with tapped():
                seen.append(all(now is not before[name] for name, now in names(http).items()))
        return all(seen)

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(work, range(8)))

    assert found == [True] * 8
    assert are(names(http), before)


def test_a_patch_of_somebody_else_on_top_of_ours_is_left_alone(http, caplog):
    """Taking ours out would take theirs out; the log says so."""
    original = http.Client.send

    with caplog.at_level(logging.WARNING), tapped():
        ours = http.Client.send

        def theirs(*args, **kwargs):
            return ours(*args, **kwargs)

        http.Client.send = theirs
    after = http.Client.send
    http.Client.send = original

    assert after is theirs
    assert "patched again" in caplog.text


def test_a_library_of_another_shape_is_told_and_stops_nobody(monkeypatch, caplog):
    """What else can be patched is; the agent runs."""

    class Client:
        def send(self):
            """Nothing."""

    good = SimpleNamespace(Client=Client)
    monkeypatch.setitem(sys.modules, "agl_bad", ModuleType("agl_bad"))
    monkeypatch.setitem(sys.modules, "agl_good", good)

    def patches(module):
        return [Patch(module.Client, "send", partial)]

    before = vars(Client)["send"]
    tap = Tap({"agl_bad": patches, "agl_good": patches})

    tap.enter()
    during = vars(Client)["send"]
    tap.leave()

    assert "cannot attach to agl_bad" in caplog.text
    assert during is not before
    assert vars(Client)["send"] is before


LATE = """
import sys
from agl_core.recorder import Recorder
from agl_core.tap import tapped, tapping
finders = list(sys.meta_path)
assert {library!r} not in sys.modules
with tapped():
    assert {library!r} not in sys.modules, "the tap imported it"
    import {library}
    assert hasattr({library}.Client.send, "__wrapped__")
    assert hasattr({library}.AsyncClient.send, "__wrapped__")
    originals = [{library}.Client.send.__wrapped__, {library}.AsyncClient.send.__wrapped__]
assert [vars({library}.Client)["send"], vars({library}.AsyncClient)["send"]] == originals
assert sys.meta_path == finders
assert "exec_module" not in vars({library}.__spec__.loader)
"""


def test_a_library_that_is_imported_meanwhile_is_patched_then(http):
    """It is not imported for our sake, and neither it nor the import system bears a mark afterwards."""
    program = LATE.format(library=http.__name__)

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ran.stderr == ""
    assert ran.returncode == 0


def test_one_library_under_two_names_is_patched_once():
    """`httpx2.alias_httpx` makes `import httpx` give `httpx2`: a call is a call all the same."""
    pytest.importorskip("httpx2")
    program = (
        "import httpx2; httpx2.alias_httpx()\n"
        "import httpx\n"
        "from agl_core.tap import tapped\n"
        "with tapped():\n"
        "    assert not hasattr(httpx.Client.send.__wrapped__, '__wrapped__')\n"
    )

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert ran.stderr == ""


def test_only_what_is_seen_is_said_to_be_attached(log, http, monkeypatch):
    """A library of another shape is an error with its name, and nobody claims that it is attached."""
    recorder = Recorder(log)

    with tapping(recorder):
        pass
    monkeypatch.setattr(http, "Client", object)
    with pytest.raises(TracerFailed, match=http.__name__), tapping(recorder):
        pass

    said = [record.event.package for record in log.read(types=["tracer.attached"])]
    assert said.count(http.__name__) == 1


def test_nothing_is_attached_when_nobody_is_inside(http):
    """It is gone with the last one."""
    tap = Tap({http.__name__: LIBRARIES[http.__name__]})

    tap.enter()
    inside = tap.attached
    tap.leave()

    assert (inside, tap.attached) == ((http.__name__,), ())
