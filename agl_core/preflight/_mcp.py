"""MCP servers over stdio: started, greeted, asked for their tools, and ended."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agl_core.preflight._check import Check, Finding, Given

__all__ = ["CHECKS"]

_PROTOCOL = "2025-06-18"
_SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """How it is started; without a command it is somewhere else."""

    name: str
    command: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class _Deaf(Exception):
    """It does not answer as an MCP server does."""


def _mcp(given: Given) -> Iterator[Finding]:
    if not given.mcp:
        yield Finding(status="skipped", what="no MCP server was named: --mcp COMMAND, or --mcp CONFIG.json")
    for told in given.mcp:
        try:
            servers = _servers(told)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            yield _failed(told, f"what names it cannot be read: {error}")
            continue
        for server in servers:
            yield _greeted(server, given.timeout)


def _servers(told: str) -> list[_Server]:
    """Those of a file as desktop clients keep it, or the one command."""
    if not told.endswith(".json"):
        return [_Server(name=told, command=shlex.split(told))]
    found = json.loads(Path(told).read_text("utf-8"))["mcpServers"]
    return [
        _Server(
            name=name,
            command=[one["command"], *one.get("args", ())] if "command" in one else (),
            environment=one.get("env", {}),
        )
        for name, one in found.items()
    ]


def _greeted(server: _Server, timeout: float) -> Finding:
    if not server.command:
        return Finding(status="skipped", what=f"{server.name} is reached over HTTP, and was not asked")
    if shutil.which(server.command[0]) is None:
        return _failed(server.name, f"there is no command {server.command[0]!r} on the path")
    try:
        tools = _tools(server, timeout)
    except (_Deaf, OSError, ValueError) as error:
        return _failed(server.name, str(error))
    return Finding(status="ok", what=f"{server.name} has {len(tools)} tool(s): {', '.join(tools)}")


def _tools(server: _Server, timeout: float) -> list[str]:
    with subprocess.Popen(  # noqa: S603 - the user named it, to be started
        server.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **server.environment},
    ) as process:  # fmt: skip
        late = threading.Timer(timeout, process.kill)
        late.start()
        try:
            hello = {
                "protocolVersion": _PROTOCOL,
                "capabilities": {},
                "clientInfo": {"name": "agl-doctor", "version": "1"},
            }
            _answer(process, 1, "initialize", hello)
            _say(process, {"method": "notifications/initialized"})
            listed = _answer(process, 2, "tools/list", {}).get("tools", ())
            return [str(tool.get("name")) for tool in listed if isinstance(tool, dict)]
        finally:
            late.cancel()
            process.kill()


def _say(process: subprocess.Popen[str], message: Mapping[str, Any]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it has ended: what it did not answer says so
        process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        process.stdin.flush()


def _answer(process: subprocess.Popen[str], number: int, method: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    assert process.stdout is not None
    _say(process, {"id": number, "method": method, "params": parameters})
    for line in process.stdout:
        with suppress(ValueError):  # some print a banner first
            message = json.loads(line)
            if isinstance(message, dict) and message.get("id") == number:
                if "error" in message:
                    raise _Deaf(f"it refuses {method}: {message['error']}")
                return dict(message.get("result") or {})
    process.kill()
    assert process.stderr is not None
    said = process.stderr.read().strip()[-_SHOWN:]
    raise _Deaf(f"it ended, or took too long, before it answered {method}" + (f": {said}" if said else ""))


def _failed(name: str, why: str) -> Finding:
    return Finding(
        status="fail", code="MCP_FAILED", what=f"{name}: {why}",
        cure="start the command by hand: it has to wait for JSON on its standard input, and print nothing else",
    )  # fmt: skip


CHECKS = (Check(name="MCP servers", look=_mcp),)
