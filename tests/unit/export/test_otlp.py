"""Runs as OpenTelemetry traces: what is told, what is not, and how it is sent."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.cli import agl as command
from agl_core.cli._export import PLACES
from agl_core.errors import BadValue, ExportFailed
from agl_core.events import (
    CallRecorded,
    Choice,
    Message,
    ModelCall,
    RewardGiven,
    SpanRecorded,
    Target,
    ToolCall,
    Usage,
)
from agl_core.export.otlp import PRESETS, Place, place, send, told
from agl_core.projections import Trace, TraceReward
from agl_core.record import Draft
from agl_core.spans.otlp import protobuf_traces
from agl_core.testing import ScriptedModel

RO, AT = "ro-01k00000000000000000000000", "at-01k00000000000000000000001"
SECRET = "what only the user knows"  # a thing that was said
MS = 1_000_000


def call(call_id: str, *, at: int, **fields: object) -> CallRecorded:
    """A call of the solver, with token ids."""
    wish = ToolCall(id="call-1", name="times", arguments='{"a": 6, "b": 7}')
    answer = Choice(
        message=Message(role="assistant", tool_calls=(wish,)),
        finish_reason="tool_calls",
        token_ids=(4, 5),
        logprobs=(-0.5, -0.25),
    )
    return CallRecorded(
        call_id=call_id,
        rollout_id=RO,
        attempt_id=AT,
        call=ModelCall(
            model="policy",
            messages=(Message(role="user", content=SECRET),),
            choices=(answer,),
            prompt_token_ids=(1, 2, 3),
            usage=Usage(prompt_tokens=3, completion_tokens=2),
            response_id=f"resp-{call_id}",
            provenance="engine",
        ),
        agent="solver",
        policy_version=3,
        started_at=at * MS,
        latency=0.01,
        **fields,
    )


def span(
    span_id: str, name: str, *, at: tuple[int, int], parent: str | None = None, **attributes: object
) -> SpanRecorded:
    """A span of the solver."""
    return SpanRecorded(
        rollout_id=RO,
        attempt_id=AT,
        span_id=span_id,
        parent_id=parent,
        name=name,
        attributes=attributes,
        agent="solver",
        started_at=at[0] * MS,
        ended_at=at[1] * MS,
    )


def reward(value: float, target: Target | None = None, name: str = "primary") -> TraceReward:
    """A reward of the attempt."""
    target = target or Target(kind="rollout", id=RO)
    given = RewardGiven(rollout_id=RO, attempt_id=AT, target=target, value=value, name=name, judge="agent")
    return TraceReward(id="ev-1", given=given)


@pytest.fixture
def trace() -> Trace:
    """An agent, its tool, its two calls, of which OpenTelemetry told one too, and three rewards."""
    return Trace(
        rollout_id=RO,
        attempt_id=AT,
        task_id="ta-1",
        input={"question": SECRET},
        mode="train",
        status="succeeded",
        exit_status="completed",
        calls=(call("ca-1", at=20), call("ca-2", at=60, first_token=0.002)),
        spans=(
            span("sp-agent", "invoke_agent solver", at=(10, 90), **{"agl.span.kind": "agent"}),
            span(
                "00000000000000aa", "chat policy", at=(19, 31), parent="sp-agent",
                **{"gen_ai.operation.name": "chat", "gen_ai.response.id": "resp-ca-1"},
            ),
            span(
                "00000000000000bb", "execute_tool times", at=(40, 50), parent="sp-agent",
                **{"gen_ai.operation.name": "execute_tool", "gen_ai.tool.call.arguments": SECRET},
            ),
        ),
        rewards=(reward(1.0), reward(0.5, name="style"), reward(0.25, Target(kind="call", id="ca-2"))),
    )  # fmt: skip


def test_a_trace_is_a_tree_in_which_each_call_stands_once(trace):
    """The attempt holds the agent, the agent its calls and its tool; the library's own span of a call is left out."""
    spans = told(trace, run_id="run-1")

    by_id = {one.span_id: one for one in spans}
    ways = [(by_id[one.parent_id].name if one.parent_id else None, one.name) for one in spans]
    agent = "invoke_agent solver"
    assert ways == [
        (None, f"rollout {RO}"),
        (f"rollout {RO}", agent),
        (agent, "chat policy"),
        (agent, "execute_tool times"),
        (agent, "chat policy"),
    ]
    assert {one.trace_id for one in spans} == {spans[0].trace_id}
    assert (spans[0].started_at, spans[0].ended_at) == (10 * MS, 90 * MS)


def test_a_call_is_told_in_the_conventions_words(trace):
    """Names that every tool knows, and JSON in them where they hold what was said."""
    chat = told(trace)[-1]

    said = chat.attributes
    assert chat.kind == 3
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.request.model"] == "policy"
    assert said["gen_ai.usage.input_tokens"] == 3
    assert said["gen_ai.response.finish_reasons"] == ["tool_calls"]
    assert said["gen_ai.response.time_to_first_chunk"] == 0.002
    assert json.loads(said["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": SECRET}]}
    ]
    (answer,) = json.loads(said["gen_ai.output.messages"])
    wish = {"type": "tool_call", "id": "call-1", "name": "times", "arguments": {"a": 6, "b": 7}}
    assert answer == {"role": "assistant", "parts": [wish], "finish_reason": "tool_calls"}
    assert said["agentlightning.policy.version"] == 3


def test_rewards_are_evaluations_of_what_they_were_given_to(trace):
    """As the event that OpenTelemetry has for it, and as attributes for the tools that show only those."""
    root, *_, last = told(trace)

    assert [attributes["gen_ai.evaluation.score.value"] for _, _, attributes in root.events] == [1.0, 0.5]
    assert root.attributes["evaluations.1.evaluation.name"] == "style"
    assert [name for name, _, _ in last.events] == ["gen_ai.evaluation.result"]
    assert last.attributes["evaluations.0.evaluation.score"] == 0.25


def test_token_ids_go_along_only_when_asked_for(trace):
    """Their digest always does: who has the log finds them again."""
    without, with_ = told(trace)[-1].attributes, told(trace, token_ids=True)[-1].attributes

    assert not {"agl.prompt_token_ids", "agl.response_token_ids", "agl.logprobs"} & without.keys()
    assert with_["agl.prompt_token_ids"] == [1, 2, 3]
    assert json.loads(with_["agl.response_token_ids"]) == [[4, 5]]
    assert without["agentlightning.token_ids.ref"] == with_["agentlightning.token_ids.ref"]
    assert without["agentlightning.token_ids.ref"].startswith("b2:")


def test_without_content_nothing_that_was_said_goes_along(trace):
    """Names, numbers and the tree remain."""
    spans = told(trace, content=False)

    assert SECRET not in repr(spans)
    assert SECRET in repr(told(trace))
    assert len(spans) == len(told(trace))
    assert spans[-1].attributes["gen_ai.usage.output_tokens"] == 2


def test_ids_are_the_same_each_time(trace):
    """What is sent again replaces itself."""
    first, again = told(trace), told(trace, content=False)

    assert [(one.trace_id, one.span_id) for one in first] == [(one.trace_id, one.span_id) for one in again]
    assert len({one.span_id for one in first}) == len(first)


class Receiver:
    """A server of OTLP that keeps what it is sent, and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.requests.append((self.path, headers, gzip.decompress(raw)))
                status, more, body = receiver.answers.pop(0) if receiver.answers else (200, {}, b"")
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """It listens."""
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_what_is_sent_is_what_our_own_receiver_reads(trace, receiver):
    """In protobuf, compressed; its spans are the same again."""
    sent = send(told(trace, run_id="run-1"), place(receiver.url, environment={}))

    ((path, headers, raw),) = receiver.requests
    read = list(protobuf_traces(raw).items)
    assert (path, headers["content-type"], sent.spans) == ("/v1/traces", "application/x-protobuf", 5)
    assert [(one.name, one.parent_id) for one in read] == [(one.name, one.parent_id) for one in told(trace)]
    assert read[0].resource["agentlightning.rollout_id"] == RO
    assert read[-1].attributes["gen_ai.usage.input_tokens"] == 3


def test_what_may_be_tried_again_is(trace, receiver):
    """After the time that the receiver names, and with nothing sent twice that was taken."""
    receiver.answers = [(503, {}, b""), (429, {"retry-after": "7"}, b"")]
    waits: list[float] = []

    sent = send(told(trace), place(receiver.url, environment={}), sleep=waits.append)

    assert sent.spans == 5
    assert waits == [0.5, 7.0]
    assert len({raw for _, _, raw in receiver.requests}) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_what_is_refused_is_not_sent_again(trace, receiver, status):
    """It says what the receiver says."""
    receiver.answers = [(status, {"content-type": "text/plain"}, b"no such project")]

    with pytest.raises(ExportFailed, match=f"HTTP {status} no such project"):
        send(told(trace), place(receiver.url, environment={}), sleep=lambda _: None)

    assert len(receiver.requests) == 1


def test_a_receiver_that_is_not_there_is_told_in_the_end(trace):
    """After some tries."""
    with pytest.raises(ExportFailed, match="after 6 tries"):
        send(told(trace), Place(url="http://127.0.0.1:9/v1/traces"), sleep=lambda _: None)


def test_what_was_rejected_is_counted(trace, receiver):
    """A partial success is no success, and is not sent again."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    partial = ExportTraceServiceResponse()
    partial.partial_success.rejected_spans, partial.partial_success.error_message = 2, "too old"
    receiver.answers = [(200, {"content-type": "application/x-protobuf"}, partial.SerializeToString())]

    sent = send(told(trace), place(receiver.url, environment={}))

    assert (sent.spans, sent.rejected, sent.why) == (3, 2, "too old")


@pytest.mark.parametrize(
    ("preset", "environment", "path", "headers"),
    [
        ("otlp", {}, "/v1/traces", {}),
        ("phoenix", {"PHOENIX_API_KEY": "key"}, "/v1/traces", {"authorization": "Bearer key"}),
        (
            "langfuse",
            {"LANGFUSE_PUBLIC_KEY": "pk", "LANGFUSE_SECRET_KEY": "sk"},
            "/api/public/otel/v1/traces",
            {"authorization": "Basic cGs6c2s=", "x-langfuse-ingestion-version": "4"},
        ),
        ("mlflow", {"MLFLOW_EXPERIMENT_ID": "exp"}, "/v1/traces", {"x-mlflow-experiment-id": "exp"}),
        ("weave", {"WANDB_API_KEY": "key"}, "/otel/v1/traces", {"wandb-api-key": "key"}),
        ("otlp", {"OTEL_EXPORTER_OTLP_HEADERS": "x-a=b%20c,X-D=zz"}, "/v1/traces", {"x-a": "b c", "x-d": "zz"}),
    ],
)
def test_each_tool_is_called_as_it_wants_to_be(preset, environment, path, headers):
    """Path and headers, from the variables that the tool itself reads."""
    found = place("http://host:1", preset=preset, environment=environment)

    assert (found.url, found.headers) == (f"http://host:1{path}", headers)
    assert repr(found) == f"Place(url='http://host:1{path}')"


def test_a_path_that_is_given_is_kept():
    """With `/v1/traces` after it, unless it ends so."""
    assert place("http://h/otel", environment={}).url == "http://h/otel/v1/traces"
    assert place("http://h/x/v1/traces", preset="langfuse", environment={}).url == "http://h/x/v1/traces"


@pytest.mark.parametrize("url", [None, "localhost:4318", "ftp://host"])
def test_what_is_no_address_is_refused(url):
    """Before anything is read."""
    with pytest.raises(BadValue, match="to"):
        place(url, environment={})


def test_the_command_knows_the_places():
    """Without importing them."""
    assert list(PLACES) == list(PRESETS)


@pytest.fixture
def log(tmp_path) -> str:
    """A log with a run of two rollouts."""

    @agl.rollout
    async def agent(task: dict, llm: agl.LLM) -> float:
        import httpx

        body = {"model": llm.model, "messages": [{"role": "user", "content": SECRET}]}
        async with httpx.AsyncClient() as client:
            headers = {"authorization": f"Bearer {llm.api_key}"}
            await client.post(f"{llm.endpoint}/chat/completions", json=body, headers=headers)
        with agl.operation(name="think"):
            return 1.0

    path = tmp_path / "log.db"
    with ScriptedModel("It is 42.") as model:
        resources = {"llm": agl.LLM(endpoint=model.url, model="policy")}
        agl.Trainer(algorithm=agl.Baseline(), initial_resources=resources, store=str(path)).fit(
            agent, train_dataset=[{"n": 1}, {"n": 2}]
        )
    return str(path)


def test_a_run_is_sent_by_the_command(log, receiver, monkeypatch):
    """Each rollout is a trace; a second time, the same ids go out."""
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_HEADERS", raising=False)
    arguments = ["export", "otlp", "--to", receiver.url, "--header", "x-key=abc", "--log", log]

    done, again = (CliRunner().invoke(command, arguments) for _ in range(2))

    (_, headers, first), (_, _, second) = receiver.requests
    spans = protobuf_traces(first).items
    assert (done.exit_code, again.exit_code, headers["x-key"]) == (0, 0, "abc")
    assert done.stdout == f"6 spans sent to {receiver.url}/v1/traces\n"
    assert len({one.trace_id for one in spans}) == 2
    assert sorted(one.name.split()[0] for one in spans) == sorted(["rollout", "chat", "agentlightning.operation"] * 2)
    assert first == second


def test_the_variable_for_content_is_heeded(log, receiver, monkeypatch):
    """And an option is stronger than it."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "NO_CONTENT")
    arguments = ["export", "otlp", "--to", receiver.url, "--log", log]

    CliRunner().invoke(command, arguments)
    CliRunner().invoke(command, [*arguments, "--content"])

    without, with_ = (raw for _, _, raw in receiver.requests)
    assert SECRET.encode() not in without
    assert SECRET.encode() in with_


ACME = """
from agl_core import hookimpl
from agl_core.spans import SpanMeaning

class Acme:
    NAME = "acme"

    def read(self, span):
        tool = span.attributes.get("acme.tool")
        return SpanMeaning(kind="tool", name=span.name, dialect="acme", tool=tool) if tool else None

@hookimpl
def agl_register_dialects():
    return [Acme()]
"""


def test_a_plugins_dialect_says_what_a_span_stands_for(log, receiver, tmp_path, monkeypatch):
    """As it does where a rollout is shown."""
    (tmp_path / "agl_acme_spans.py").write_text(ACME)
    (tmp_path / "agl_acme_spans-1.0.dist-info").mkdir()
    (tmp_path / "agl_acme_spans-1.0.dist-info/METADATA").write_text("Name: agl-acme-spans\nVersion: 1.0\n")
    (tmp_path / "agl_acme_spans-1.0.dist-info/entry_points.txt").write_text("[agl]\nacme = agl_acme_spans\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("AGL_LOAD_PLUGINS", raising=False)
    store = agl.open_store(log)
    ((rollout_id, attempt_id),) = store.log.rows(
        "select rollout_id, attempt_id from rollouts order by position limit 1"
    )
    swing = SpanRecorded(
        rollout_id=rollout_id, attempt_id=attempt_id, span_id="sp-swing", name="swing",
        attributes={"acme.tool": "hammer"}, started_at=1, ended_at=2,
    )  # fmt: skip
    store.log.append([Draft(stream=f"rollout/{rollout_id}", event=swing)])
    store.close()
    store.log.close()

    done = CliRunner().invoke(
        command, ["export", "otlp", rollout_id, "--to", receiver.url, "--no-content", "--log", log]
    )

    assert done.exit_code == 0, done.output
    ((_, _, raw),) = receiver.requests
    (sent,) = (one for one in protobuf_traces(raw).items if one.name == "swing")
    assert sent.attributes["gen_ai.tool.name"] == "hammer"


def test_a_key_in_a_header_that_is_written_wrong_is_not_printed(log):
    """It may be one."""
    done = CliRunner().invoke(command, ["export", "otlp", "--to", "http://h", "--header", "=abcdef", "--log", log])

    assert done.exit_code == 1
    assert "NAME=VALUE" in done.stderr
    assert "abcdef" not in done.stderr
