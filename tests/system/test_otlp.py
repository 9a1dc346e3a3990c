"""Any OpenTelemetry SDK works by its environment alone: its spans are the attempt's, with nothing of ours imported."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import agl_core as agl
from agl_core.events import RewardGiven, SpanRecorded, SpanUnassigned
from agl_core.spans import meaning

PATIENCE = 60
SDK = """
import os
import sys
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
carrier = {"traceparent": os.environ["TRACEPARENT"]} if "--trace" in sys.argv else {}
around = TraceContextTextMapPropagator().extract(carrier)
tracer = provider.get_tracer("agent", "1.0")
with tracer.start_as_current_span("invoke_agent writer", context=around) as span:
    span.set_attribute("gen_ai.operation.name", "invoke_agent")
    span.set_attribute("gen_ai.agent.name", "writer")
    with tracer.start_as_current_span("execute_tool add") as tool:
        tool.set_attribute("gen_ai.operation.name", "execute_tool")
        tool.set_attribute("gen_ai.tool.name", "add")
        tool.add_event("done", {"n": 1})
provider.shutdown()
assert not [name for name in sys.modules if name.startswith("agl")]
"""
LOGS = """
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

provider = LoggerProvider()
provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter()))
logger = provider.get_logger("judge")
for name, score in (("primary", 0.75), ("style", 1)):
    said = {"name": name, "score.value": score, "explanation": "close"}
    attributes = {f"gen_ai.evaluation.{key}": value for key, value in said.items()}
    logger.emit(LogRecord(event_name="gen_ai.evaluation.result", timestamp=1, attributes=attributes))
logger.emit(LogRecord(body="a line of a log", timestamp=2))
provider.shutdown()
"""
GATEWAY = """
import asyncio, sys
import agl_core as agl
from agl_core.gateway import Gateway
from agl_core.otel import token
from agl_core.recorder import Recorder

async def serve(path):
    store = agl.open_store(path)
    attempt = store.ask.rollouts()[0] if "--again" in sys.argv else await store.start_rollout({"q": 1})
    base = await Gateway(Recorder(store.log), store.ask, log=store.log).start()
    print(base, attempt.rollout_id, token(store.log), flush=True)
    await asyncio.Event().wait()

asyncio.run(serve(sys.argv[1]))
"""
METRICS = """
import os
assert os.environ["OTEL_METRICS_EXPORTER"] == "none"
"""


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that exports nothing itself."""
    for name in [name for name in os.environ if name.startswith("OTEL_") or name == "TRACEPARENT"]:
        monkeypatch.delenv(name)


@pytest.fixture
def exporter() -> None:
    """What OpenTelemetry's own SDK exports with."""
    for module in ("opentelemetry.exporter", "opentelemetry.exporter.otlp.proto.http"):
        try:
            found = find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            pytest.skip("opentelemetry-exporter-otlp-proto-http is not installed here")


def run(tmp_path: Path, program: str, *arguments: str, tasks: int = 1) -> list[Any]:
    """The facts of a run whose agent is that program."""

    @agl.rollout
    async def agent(task: Any) -> None:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", program, *arguments],
            env={**os.environ, **agl.environment(None, task)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert not done.stderr, done.stderr[-2000:]

    path = str(tmp_path / "log.db")
    tasks_ = [{"n": number} for number in range(tasks)]
    agl.Trainer(store=path, n_runners=tasks).fit(agent, train_dataset=tasks_)
    with agl.open_log(path, readonly=True) as log:
        return [record.event for record in log.read()]


def of(facts: list[Any], kind: type) -> list[Any]:
    """Those of a kind."""
    return [fact for fact in facts if isinstance(fact, kind)]


@pytest.mark.parametrize("trace", [(), ("--trace",)], ids=["a trace of its own", "the attempt's trace"])
def test_an_sdk_sends_its_spans_by_its_environment(exporter: None, tmp_path: Path, trace: tuple[str, ...]):
    """Endpoint, protocol, token and resource; the program imports nothing of ours."""
    facts = run(tmp_path, SDK, *trace, tasks=2)

    attempts = {fact.attempt_id for fact in facts if type(fact).__name__ == "AttemptStarted"}
    spans = of(facts, SpanRecorded)
    assert {span.attempt_id for span in spans} == attempts
    assert len(spans) == 4
    assert not of(facts, SpanUnassigned)
    for attempt in attempts:
        tool, agent = (span for span in spans if span.attempt_id == attempt)
        assert (agent.parent_id, tool.parent_id, tool.trace_id) == (None, agent.span_id, agent.trace_id)
        assert agent.resource["agentlightning.attempt_id"] == attempt
        assert agent.scope == {"name": "agent", "version": "1.0"}
        assert (meaning(agent).kind, meaning(agent).agent) == ("agent", "writer")
        assert (meaning(tool).kind, meaning(tool).tool) == ("tool", "add")
        assert tool.events[0]["attributes"] == {"n": 1}


def test_evaluations_become_rewards(exporter: None, tmp_path: Path):
    """`gen_ai.evaluation.result`, with its explanation; the one called `primary` is the rollout's reward."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http._log_exporter")

    rewards = of(run(tmp_path, LOGS), RewardGiven)

    assert {reward.name: reward.value for reward in rewards} == {"primary": 0.75, "style": 1.0}
    assert {reward.target.kind for reward in rewards} == {"rollout"}
    assert {reward.evidence["gen_ai.evaluation.explanation"] for reward in rewards} == {"close"}


def test_a_program_is_spared_metrics_that_nobody_keeps(tmp_path: Path):
    """It is told not to send them."""
    run(tmp_path, METRICS)


def exported(gateway: subprocess.Popen[str], body: bytes) -> Any:
    """The answer of a gateway, which does not outlive it."""
    assert gateway.stdout is not None
    with gateway.stdout:
        try:
            base, rollout, key = gateway.stdout.readline().split()
            headers = {
                "authorization": f"Bearer {key}",
                "x-agl-rollout-id": rollout,
                "content-type": "application/json",
            }
            request = urllib.request.Request(f"{base}/v1/traces", data=body, headers=headers)  # noqa: S310 - loopback
            with urllib.request.urlopen(request, timeout=PATIENCE) as reply:  # noqa: S310 - the same
                return json.load(reply)
        finally:
            gateway.kill()
            gateway.wait(PATIENCE)


def test_what_was_answered_survives_a_kill_and_is_not_kept_twice(tmp_path: Path):
    """The answer comes when the span is durable; a client that did not hear it sends the span again."""
    path = str(tmp_path / "log.db")
    now = str(time.time_ns())
    span = {"traceId": "5b" * 16, "spanId": "ee" * 8, "name": "work", "startTimeUnixNano": now, "endTimeUnixNano": now}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()

    for again in ((), ("--again",)):
        command = [sys.executable, "-c", GATEWAY, path, *again]
        answer = exported(subprocess.Popen(command, stdout=subprocess.PIPE, text=True), body)
        assert answer.get("partialSuccess", {}).get("rejectedSpans", "0") == "0"

        with agl.open_log(path, readonly=True) as log:
            assert [record.event.name for record in log.read(types=["span.recorded"])] == ["work"]
