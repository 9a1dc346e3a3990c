"""Each check of the doctor's own, in a place that is well and in one that is not."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agl_core.hookspecs import hookimpl
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.preflight import CHECKS, Check, Finding, Given, examined, looked
from agl_core.projections import CORE
from agl_core.testing import Answer, Refusal, ScriptedModel


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Plugins:
    """Those of the core alone."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    return Plugins.load()


@pytest.fixture
def given(tmp_path: Path, plugins: Plugins) -> Given:
    """A doctor who was told nothing."""
    return Given(log=tmp_path / "log.db", plugins=plugins, environment={}, timeout=10.0)


@pytest.fixture
def look(given: Given) -> Callable[..., list[Finding]]:
    """What one check finds, of what it is told."""

    def looking(name: str, **told: Any) -> list[Finding]:
        (check,) = (check for check in CHECKS if check.name == name)
        return looked(check, replace(given, **told))

    return looking


class Registering:
    """A plugin that brings these checks."""

    def __init__(self, *checks: Any) -> None:
        self._checks = checks

    @hookimpl
    def agl_register_checks(self) -> list[Any]:
        """Those it was given."""
        return list(self._checks)


def said(found: list[Finding]) -> list[tuple[str, str]]:
    """Status and code of each."""
    return [(finding.status, finding.code) for finding in found]


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


# --- models


def calls_a_tool(asked: Any) -> Answer:
    """What a model with tools does."""
    from agl_core.events import ToolCall

    return Answer(tool_calls=(ToolCall(id="t", name=asked.body["tools"][0]["function"]["name"], arguments="{}"),))


def test_a_model_that_can_do_all_is_told_so(look):
    """It was asked once."""
    with ScriptedModel(calls_a_tool, owner="vllm") as model:
        found = look("models", models={"policy": f"{model.url}#policy"})

        assert len(model.requests) == 1
    assert said(found) == [("ok", "")] * 3


UNLIKELY = {
    "choices": [
        {"message": {"role": "assistant", "content": "5"}, "finish_reason": "stop", "index": 0, "token_ids": [53, 1]}
    ],
    "prompt_token_ids": [1, 2],
}
"""An answer whose tokens are known, and not how likely they were."""


@pytest.mark.parametrize(
    ("script", "owner", "wanted"),
    [
        ("words", "vllm", ("warn", "TOOL_CALLS_MISSING")),
        (calls_a_tool, "somebody", ("warn", "TOKEN_IDS_MISSING")),
        (lambda _asked: UNLIKELY, "vllm", ("fail", "LOGPROBS_MISSING")),
        (lambda _asked: Refusal(status=400, code="bad"), "vllm", ("fail", "ENGINE_FAILED")),
    ],
    ids=["words", "no ids", "no logprobs", "refuses"],
)
def test_what_a_model_lacks_is_told(look, script, owner, wanted):
    """Each by a code of its own."""
    with ScriptedModel(script, owner=owner) as model:
        found = look("models", models={"policy": f"{model.url}#policy"})

    assert wanted in said(found)


def test_a_model_that_is_not_there_is_told(look):
    """Nobody listens at that address."""
    with ScriptedModel() as model:
        url = model.url

    assert said(look("models", models={"policy": f"{url}#policy"})) == [("fail", "ENGINE_FAILED")]


# --- the machine


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A program of that name on the path, which says that text."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def made(name: str, text: str) -> None:
        file = folder / name
        (folder / f"{name}.txt").write_text(text)
        file.write_text(f"#!/bin/sh\ncat {folder}/{name}.txt\n")
        file.chmod(0o700)

    return made


@pytest.mark.parametrize(
    ("free", "weights", "wanted"),
    [
        (40_000, 0, ("ok", "")),
        (1_000, 0, ("warn", "GPU_MEMORY_LOW")),
        (4_000, 4 << 30, ("fail", "GPU_MEMORY_LOW")),
        (20_000, 4 << 30, ("warn", "GPU_MEMORY_LOW")),
    ],
)
def test_too_little_memory_of_a_gpu_is_told(look, program, tmp_path, free, weights, wanted):
    """Measured against the weights that are to be trained, where they are known."""
    program("nvidia-smi", f"0, NVIDIA H200, 143771, {free}\n")
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(weights)
    models = {"policy": f"transformers:{tmp_path}?dtype=bfloat16"} if weights else {}

    assert said(look("GPUs", models=models)) == [wanted]


RAY = """======== Autoscaler status: 2026-01-01 ========
Node status
---------------------------------------------------------------
Active:
 1 node_aa
 1 node_bb
Pending:
 (no pending nodes)

Resources
---------------------------------------------------------------
Total Usage:
 2.0/32.0 CPU
 1.0/2.0 GPU
 0B/90.5GiB memory
"""


def test_nodes_and_gpus_are_told_as_ray_status_shows_them(look, program):
    """By its own program: the library is not imported."""
    program("ray", RAY)

    (found,) = look("Ray")

    assert found.what == "2 Ray node(s): 2.0 of 32.0 CPU used, 1.0 of 2.0 GPU used, 0B of 90.5GiB memory used"


def test_a_cluster_that_was_named_and_is_gone_is_told(look, program):
    """Where none was named, none is missed."""
    program("ray", "ConnectionError: Could not find any running Ray instance.\n")

    assert said(look("Ray", environment={"RAY_ADDRESS": "10.0.0.1:6379"})) == [("warn", "RAY_UNREACHABLE")]
    assert said(look("Ray")) == [("skipped", "")]


def test_what_is_not_there_and_not_needed_is_skipped(look, program):
    """A laptop is well without them."""
    for name in ("GPUs", "uv", "MCP servers", "models", "data"):
        assert [finding.status for finding in look(name)] == ["skipped"], name


# --- servers


SERVER = """
import json, sys
print("a banner that does not belong here", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    if asked["method"] == "initialize":
        result = {"protocolVersion": asked["params"]["protocolVersion"], "capabilities": {}, "serverInfo": {}}
    elif asked["method"] == "tools/list":
        result = {"tools": [{"name": "search"}, {"name": "read"}]}
    else:
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


def test_an_mcp_server_is_asked_for_its_tools(look, tmp_path):
    """By a command, or by a file that names it."""
    (tmp_path / "server.py").write_text(SERVER)
    config = tmp_path / "mcp.json"
    config.write_text(
        json.dumps(
            {
                "mcpServers": {
                    "files": {"command": sys.executable, "args": [str(tmp_path / "server.py")]},
                    "web": {"url": "https://example.org/mcp"},
                }
            }
        )
    )

    found = look("MCP servers", mcp=[f"{sys.executable} {tmp_path}/server.py", str(config)])

    assert [finding.status for finding in found] == ["ok", "ok", "skipped"]
    assert "2 tool(s): search, read" in found[0].what


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("no-such-server", "no command 'no-such-server'"),
        (f"{sys.executable} -c 'import sys; sys.exit(\"no key\")'", "no key"),
        (f"{sys.executable} -c 'input(); input()'", "before it answered initialize"),
    ],
)
def test_an_mcp_server_that_does_not_answer_is_told(look, command, why):
    """With what it said on its way out."""
    (found,) = look("MCP servers", mcp=[command], timeout=2.0)

    assert (found.status, found.code) == ("fail", "MCP_FAILED")
    assert why in found.what


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
