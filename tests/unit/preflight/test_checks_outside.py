"""The doctor's checks of what is outside: models, the machine, servers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agl_core.testing import Answer, Refusal, ScriptedModel

from ._findings import said

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
