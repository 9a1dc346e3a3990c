"""What a program that knows nothing of us reads from its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from agl_core.ids import canonical
from agl_core.recorder import Scope, current
from agl_core.resources import LLM
from agl_core.spans.context import ATTEMPT, ROLLOUT, traceparent

__all__ = ["environment"]

_UPLOADS = "OPENAI_AGENTS_DISABLE_TRACING"
_EXPORTERS = "OTEL_EXPORTER_OTLP_"


def environment(llm: LLM | None, task: Any = None) -> dict[str, str]:
    """Variables that point a program which knows nothing of us at `llm`, for the attempt under way.

    `subprocess.run(..., env={**os.environ, **agl.environment(llm, task)})`: what OpenAI's and Anthropic's libraries
    read, and `AGL_ROLLOUT_ID`, `AGL_ATTEMPT_ID`, `AGL_AGENT`, `AGL_TASK` (JSON). Without an `llm` the program keeps its
    own; run by `python -m agl_core.tap`, it finds the log in `AGL_LOG`, and in a replay (`AGL_REPLAY`) its answers.

    Where there is a gateway, the program may tell it rewards and more at `AGL_EVENT_URL`, showing `AGL_KEY`, and any
    OpenTelemetry SDK sends it spans (`OTEL_*`, `TRACEPARENT`); an exporter, or a trace, that this process's own
    environment names already stays what it is. Raises `OutsideAttempt`.
    """
    scope = current("an environment")
    variables = {"AGL_LOG": scope.recorder.url, "AGL_ROLLOUT_ID": scope.rollout_id, "AGL_ATTEMPT_ID": scope.attempt_id}
    if llm is not None:
        base, key = llm.get_base_url().rstrip("/"), llm.api_key or "none"
        variables |= {
            "OPENAI_BASE_URL": base,
            "OPENAI_API_BASE": base,
            "OPENAI_API_KEY": key,
            "ANTHROPIC_BASE_URL": base.removesuffix("/v1"),
            "ANTHROPIC_API_KEY": key,
            "AGL_OPENAI_BASE_URL": base,  # Agent Lightning 1.0's own name for it
            # Agents of OpenAI's SDK would send what they do to its vendor, with a key that is not the vendor's.
            _UPLOADS: os.environ.get(_UPLOADS, "1"),
        }
    if scope.replaying is not None:
        variables["AGL_REPLAY"] = "1"
    if scope.run_id is not None:
        variables["AGL_RUN_ID"] = scope.run_id
    if scope.agent is not None:
        variables["AGL_AGENT"] = scope.agent
    if scope.parent_call is not None:
        variables["AGL_PARENT_CALL"] = scope.parent_call
    if task is not None:
        variables["AGL_TASK"] = canonical(task).decode()
    return variables | _telemetry(scope, _hosts(os.environ))


def _telemetry(scope: Scope, host: Mapping[str, str]) -> dict[str, str]:
    """Where the program tells what it does, as far as the host's own telemetry leaves that to us."""
    said = {ROLLOUT: scope.rollout_id, ATTEMPT: scope.attempt_id}
    if scope.agent is not None:
        said["agl.agent.name"] = scope.agent
    variables = {"OTEL_RESOURCE_ATTRIBUTES": _merged(host.get("OTEL_RESOURCE_ATTRIBUTES", ""), said)}
    issued = traceparent(scope.attempt_id)
    if issued is not None and "TRACEPARENT" not in host:
        variables["TRACEPARENT"] = issued
    if scope.gateway is None or scope.key is None:
        return variables
    door = f"{scope.gateway.rstrip('/')}/rollout/{scope.rollout_id}/attempt/{scope.attempt_id}"
    variables |= {"AGL_EVENT_URL": f"{door}/v1/events", "AGL_KEY": scope.key}
    if not any(name.startswith(_EXPORTERS) or name == "OTEL_TRACES_EXPORTER" for name in host):
        variables |= {
            f"{_EXPORTERS}ENDPOINT": door,
            f"{_EXPORTERS}PROTOCOL": "http/protobuf",
            f"{_EXPORTERS}HEADERS": f"authorization=Bearer%20{scope.key}",
        }
        if "OTEL_METRICS_EXPORTER" not in host:
            variables["OTEL_METRICS_EXPORTER"] = "none"  # the gateway keeps none, and says so at each export
    return variables


def _hosts(environ: Mapping[str, str]) -> dict[str, str]:
    """What the host has set itself; not what it was given for an attempt that it works for."""
    attempt_id = environ.get("AGL_ATTEMPT_ID")
    is_ours = attempt_id is not None and environ.get(f"{_EXPORTERS}ENDPOINT", "").endswith(f"/attempt/{attempt_id}")
    ours = {f"{_EXPORTERS}{name}" for name in ("ENDPOINT", "PROTOCOL", "HEADERS")} | {"OTEL_METRICS_EXPORTER"}
    host = {
        name: value
        for name, value in environ.items()
        if value and (name.startswith("OTEL_") or name == "TRACEPARENT") and not (is_ours and name in ours)
    }
    if attempt_id is not None and host.get("TRACEPARENT") == traceparent(attempt_id):
        host.pop("TRACEPARENT", None)
    return host


def _merged(host: str, said: Mapping[str, str]) -> str:
    """The host's resource attributes, and ours after them."""
    kept = [pair for pair in host.split(",") if pair.strip() and pair.partition("=")[0].strip() not in said]
    return ",".join([*kept, *(f"{name}={quote(value, safe='')}" for name, value in said.items())])
