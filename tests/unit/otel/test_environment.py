"""What a program of an attempt is told of telemetry, and what of the host's own is left as it is."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest

import agl_core as agl
from agl_core.recorder import Recorder, Scope, attributed
from agl_core.spans.context import traceparent

ATTEMPT = "at-01jaaaaaaaaaaaaaaaaaaaaaaa"
OTEL = "OTEL_EXPORTER_OTLP_"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host has set nothing."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "AGL_")) or name == "TRACEPARENT":
            monkeypatch.delenv(name)


@pytest.fixture
def told(tmp_path: Any) -> Any:
    """The environment of a program, in an attempt that a gateway serves unless it is said otherwise."""
    with agl.open_log(str(tmp_path / "log.db")) as log:

        def environment(**changes: Any) -> dict[str, str]:
            whose = {"rollout_id": "ro-1", "attempt_id": ATTEMPT, "gateway": "http://127.0.0.1:7", "key": "agl-key"}
            scope = Scope(recorder=Recorder(log), run_id=None, **{**whose, **changes})
            with attributed(scope):
                return agl.environment(None)

        yield environment


def test_a_program_is_told_where_and_as_whom(told: Any):
    """By the names of OpenTelemetry's specification, and two of ours."""
    found = told(agent="a writer")

    door = f"http://127.0.0.1:7/rollout/ro-1/attempt/{ATTEMPT}"
    assert found["AGL_EVENT_URL"] == f"{door}/v1/events"
    assert found["AGL_KEY"] == "agl-key"
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"] == door
    assert found["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"
    assert found["OTEL_EXPORTER_OTLP_HEADERS"] == "authorization=Bearer%20agl-key"
    assert found["OTEL_METRICS_EXPORTER"] == "none"
    assert found["TRACEPARENT"] == traceparent(ATTEMPT)
    assert found["OTEL_RESOURCE_ATTRIBUTES"] == (
        f"agentlightning.rollout_id=ro-1,agentlightning.attempt_id={ATTEMPT},agl.agent.name=a%20writer"
    )


def test_without_a_gateway_there_is_nowhere_to_send(told: Any):
    """Then a program's telemetry goes where it went, and only says whose it is."""
    found = told(gateway=None, key=None)

    assert not [name for name in found if name.startswith(OTEL) or name in {"AGL_EVENT_URL", "AGL_KEY"}]
    assert ATTEMPT in found["OTEL_RESOURCE_ATTRIBUTES"]


@pytest.mark.parametrize(
    "name", [f"{OTEL}ENDPOINT", f"{OTEL}TRACES_ENDPOINT", f"{OTEL}HEADERS", "OTEL_TRACES_EXPORTER"]
)
def test_a_host_that_exports_keeps_exporting(told: Any, monkeypatch: pytest.MonkeyPatch, name: str):
    """One variable of its own, and none of the exporter's is ours."""
    monkeypatch.setenv(name, "the host's")

    found = told()

    assert not [name for name in found if name.startswith(OTEL) or name == "OTEL_METRICS_EXPORTER"]
    assert found["AGL_EVENT_URL"]


def test_a_host_keeps_its_trace_its_metrics_and_its_name(told: Any, monkeypatch: pytest.MonkeyPatch):
    """Ours is added where there is room, and put in the place of what an outer attempt said."""
    monkeypatch.setenv("TRACEPARENT", "00-4c0fa1b23d5e69788796a5b4c3d2e1f0-a1b2c3d4e5f60718-01")
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", "prometheus")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop, agentlightning.rollout_id=ro-0")

    found = told()

    assert "TRACEPARENT" not in found
    assert "OTEL_METRICS_EXPORTER" not in found
    assert found["OTEL_RESOURCE_ATTRIBUTES"].startswith("service.name=shop,agentlightning.rollout_id=ro-1,")


def test_an_agent_within_an_agent_is_the_inner_one(told: Any, monkeypatch: pytest.MonkeyPatch):
    """What an outer attempt gave is not the host's."""
    outer = told(attempt_id="at-01jbbbbbbbbbbbbbbbbbbbbbbb")
    for name, value in outer.items():
        monkeypatch.setenv(name, value)

    assert told()["TRACEPARENT"] == traceparent(ATTEMPT)
    assert told()["OTEL_EXPORTER_OTLP_ENDPOINT"].endswith(ATTEMPT)
    assert "bbbb" not in json.dumps(told())


def test_a_trainer_tells_its_agents_programs(tmp_path: Any):
    """Also those that it gives no model."""
    seen: list[dict[str, str]] = []

    @agl.rollout
    async def agent(task: Any) -> float:
        show = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
        done = await asyncio.to_thread(
            subprocess.run, show, env={**os.environ, **agl.environment(None, task)}, capture_output=True, check=True
        )
        seen.append(json.loads(done.stdout))
        return 1.0

    agl.Trainer(store=str(tmp_path / "log.db")).fit(agent, train_dataset=[{"q": 1}])

    (found,) = seen
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"].endswith(f"/attempt/{found['AGL_ATTEMPT_ID']}")
    assert found["AGL_KEY"] in found["OTEL_EXPORTER_OTLP_HEADERS"]
