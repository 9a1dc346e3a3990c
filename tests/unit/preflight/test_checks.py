"""Each check of the doctor's own of what is here, in a place that is well and in one that is not; guests' checks."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agl_core.hookspecs import hookimpl
from agl_core.log import SqliteLog
from agl_core.preflight import Check, Finding, Given, examined
from agl_core.projections import CORE

from ._findings import said


class Registering:
    """A plugin that brings these checks."""

    def __init__(self, *checks: Any) -> None:
        self._checks = checks

    @hookimpl
    def agl_register_checks(self) -> list[Any]:
        """Those it was given."""
        return list(self._checks)


# --- packages


def wheel(folder: Path, name: str, version: str, *requires: str) -> None:
    """A package as pip leaves it."""
    place = folder / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {one}" for one in requires)]
    (place / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")


def test_a_conflict_is_told_with_both_sides(look, tmp_path, monkeypatch):
    """A wrong version is wrong for all; a missing one may be left out on purpose."""
    pytest.importorskip("packaging")
    wheel(tmp_path, "framework", "2.0", "library<3", "absent>=1")
    wheel(tmp_path, "library", "3.1")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    found = [finding for finding in look("dependencies") if "framework" in finding.what]

    assert sorted(said(found)) == [("fail", "DEPENDENCY_CONFLICT"), ("warn", "DEPENDENCY_CONFLICT")]
    assert any("wants library<3, and 3.1 is installed" in finding.what for finding in found)


def test_an_untested_version_is_told_with_the_range(look, tmp_path, monkeypatch):
    """The range is the one of the plugin's own extra."""
    pytest.importorskip("packaging")
    wheel(tmp_path, "agl-some-sdk", "0.1.0", "some-sdk>=2,<3; extra == 'some-sdk'")
    wheel(tmp_path, "some-sdk", "4.0")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    (found,) = (finding for finding in look("packages") if finding.status != "ok")

    assert (found.status, found.code) == ("warn", "UNTESTED_VERSION")
    assert "some-sdk 4.0; agl-some-sdk was tested with" in found.what


def test_a_broken_plugin_is_told(look, given, monkeypatch):
    """With its error, and how to go on without it."""
    from agl_core.plugins import Loaded

    given.plugins.loaded.append(Loaded(name="crooked", version="1", error="ImportError: no module named x"))

    found = look("plugins")

    assert ("fail", "PLUGIN_BROKEN") in said(found)
    assert any("AGL_DISABLE_PLUGINS=crooked" in finding.cure for finding in found)


# --- the place


def test_a_log_that_is_well_is_counted_and_proved(look, given):
    """And nothing is left beside it."""
    SqliteLog(given.log, projections=CORE).close()

    found = look("database")

    assert said(found) == [("ok", ""), ("ok", "")]
    assert "0 events" in found[0].what
    assert [path.name for path in given.log.parent.iterdir() if path.name.startswith(".agl-doctor")] == []


def test_a_file_that_is_no_log_is_told(look, given):
    """With the code of whoever tried to open it."""
    given.log.write_bytes(b"SQLite format 3\0" + b"\7" * 5000)

    assert said(look("database"))[0] == ("fail", "LOG_CORRUPT")


def test_a_log_that_others_may_read_is_told(look, given):
    """Prompts are in it."""
    SqliteLog(given.log, projections=CORE).close()
    given.log.chmod(0o644)

    assert ("warn", "LOG_EXPOSED") in said(look("database"))


def test_a_network_file_system_is_refused(look, monkeypatch):
    """It is tried where the log is to lie, before there is one."""
    from agl_core.errors import LogUnsupported
    from agl_core.log import _schema

    def refuse(path: Path) -> None:
        raise LogUnsupported(str(path), why="it lies on a network file system (nfs4)", cure="Put it on a local disk")

    monkeypatch.setattr(_schema, "_refuse_network", refuse)

    found = look("database")

    assert said(found)[-1] == ("fail", "LOG_UNSUPPORTED")
    assert "nfs4" in found[-1].what


@pytest.mark.parametrize(("free", "status"), [(5 << 30, "ok"), (500 << 20, "warn"), (1 << 20, "fail")])
def test_little_room_is_told(look, monkeypatch, free, status):
    """A log that cannot grow stops a run."""
    import shutil
    from types import SimpleNamespace

    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=free))

    assert [finding.status for finding in look("disk")] == [status]


def test_a_port_that_is_taken_is_told(look):
    """Somebody listens there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        assert said(look("ports", port=taken.getsockname()[1])) == [("fail", "PORT_BUSY")]
    assert said(look("ports")) == [("ok", "")]


# --- the environment


def test_of_a_key_only_its_end_is_shown(look):
    """And of a short one nothing."""
    (found,) = look("keys", environment={"OPENAI_API_KEY": "sk-0123456789abcdef", "X_API_KEY": "sesame"})

    assert found.what == "OPENAI_API_KEY ...cdef, X_API_KEY is set"


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, ("ok", "")),
        ({"OPENAI_BASE_URL": "http://a/v1/", "OPENAI_API_BASE": "http://a/v1"}, ("ok", "")),
        ({"OPENAI_BASE_URL": "http://a/v1", "OPENAI_API_BASE": "http://b/v1"}, ("warn", "BASE_URLS_DISAGREE")),
        ({"OPENAI_BASE_URL": "http://a"}, ("warn", "BASE_URL_SUFFIX")),
        ({"ANTHROPIC_BASE_URL": "http://a/v1/"}, ("fail", "BASE_URL_SUFFIX")),
        ({"ANTHROPIC_BASE_URL": "http://a"}, ("ok", "")),
        ({"HTTP_PROXY": "http://me:hush@proxy:3128"}, ("warn", "PROXY_IN_THE_WAY")),
        ({"all_proxy": "socks5://proxy:1080", "no_proxy": "localhost"}, ("warn", "PROXY_IN_THE_WAY")),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "localhost, 127.0.0.1"}, ("ok", "")),
        ({"HTTPS_PROXY": "http://proxy:3128"}, ("ok", "")),
    ],
)
def test_base_urls_that_cannot_work_are_told(look, environment: Mapping[str, str], wanted):
    """Each library puts its own end behind, or none."""
    assert said(look("base URLs", environment=environment)) == [wanted]


def test_a_password_in_an_address_is_not_shown(look):
    """Neither what stands before the host, nor a query."""
    found = look("base URLs", environment={"OPENAI_BASE_URL": "https://me:hush@host/v1?key=hush"})

    assert "hush" not in " ".join(finding.what + finding.cure for finding in found)


# --- data


def test_data_sets_are_read_counted_and_compared(look, tmp_path):
    """Repeats and overlaps are told with an example."""
    sets = {"train": [{"q": 1}, {"q": 1}, {"q": 2}], "val": [{"q": 2}], "test": [{"q": 3}]}

    found = look("data", tasks={name: tmp_path / name for name in sets}, read=lambda path: sets[path.name])

    assert [one for one in said(found) if one != ("ok", "")] == [("warn", "TASKS_REPEATED"), ("fail", "SPLITS_OVERLAP")]
    assert "train: 3 task(s)" in found[0].what


# --- guests


def test_a_check_of_a_plugin_that_raises_is_a_failed_check_and_the_others_go_on(plugins, given):
    """Its finding names the plugin; so does that of a plugin that brings no checks but an error."""

    def trips(_given: Given) -> list[Finding]:
        raise KeyError("secret")

    class Rude:
        @hookimpl
        def agl_register_checks(self) -> list[Any]:
            """None."""
            sys.exit("gone")

    plugins.register(
        Registering(
            Check(name="trips", look=trips),
            Check(name="fine", look=lambda _given: [Finding(status="ok", what="all is well")]),
            "no check at all",
        ),
        name="guest",
    )
    plugins.register(Rude(), name="rude")

    found = [finding for finding in examined(given) if finding.plugin in {"guest", "rude"}]

    assert [(finding.plugin, finding.check, finding.status, finding.code) for finding in found] == [
        ("guest", "trips", "fail", "CHECK_FAILED"),
        ("guest", "fine", "ok", ""),
        ("guest", "no check at all", "fail", "CHECK_FAILED"),
        ("rude", "agl_register_checks", "fail", "CHECK_FAILED"),
    ]
    assert "KeyError" in found[0].what


def test_a_check_that_does_not_end_is_left_behind(plugins, given):
    """The doctor's time is the user's."""
    from threading import Event

    never = Event()

    def hangs(_given: Given) -> list[Finding]:
        never.wait()
        return []

    plugins.register(Registering(Check(name="hangs", look=hangs)), name="guest")

    found = [finding for finding in examined(replace(given, timeout=0.2)) if finding.plugin == "guest"]

    never.set()
    assert said(found) == [("fail", "CHECK_FAILED")]
    assert "did not end" in found[0].what
