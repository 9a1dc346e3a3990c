"""What was written once is read for ever: one file for each event type and schema, and what it means.

`python tests/golden/test_events.py` writes the files that are missing, and never touches one that is there. A field
with a default is no new schema, but it changes the bytes: then a second file of the same schema is written.
"""

import base64
import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

from agl_core.codec import Codec, Encoded
from agl_core.events import (
    CORE_EVENTS,
    AttemptExpired,
    AttemptFinished,
    AttemptStarted,
    AttemptUpdated,
    BatchFormed,
    BlobsErased,
    CallRecorded,
    CaptureLost,
    CheckpointSaved,
    Choice,
    Component,
    EndpointRegistered,
    EndpointRemoved,
    Event,
    GatewayPaused,
    GatewayResumed,
    Message,
    MetricsLogged,
    ModelCall,
    NoteTaken,
    OutcomesRead,
    PluginFailed,
    PluginLoaded,
    PolicyPromoted,
    PolicyUpdated,
    ReplayDeparted,
    ReplayFinished,
    ReplayStarted,
    ResourcesPromoted,
    ResourcesPublished,
    RewardGiven,
    RewardWithdrawn,
    RewardWithheld,
    RolloutCancelled,
    RolloutConfig,
    RolloutDeleted,
    RolloutEnqueued,
    RolloutFinished,
    RolloutUpdated,
    RunConfig,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStopAsked,
    Sampling,
    SpanRecorded,
    SpanUnassigned,
    StepRecorded,
    Target,
    TestOpened,
    Tool,
    ToolCall,
    TracerAttached,
    Usage,
    WorkerJoined,
    WorkerLeft,
)

FOLDER = Path(__file__).parent / "events"
GOLDENS = sorted(FOLDER.glob("*.json"))

RUN, ROLLOUT, ATTEMPT, CALL = (f"{kind}-01jaaaaaaaaaaaaaaaaaaaaaaa" for kind in ("run", "ro", "at", "ca"))
OF_RUN = {"run_id": RUN}
OF_CONFIG = {"initial_resources": "rs-1", "max_rollouts": 10, "rollout": {"max_attempts": 2}}
OF_SELECT: dict[str, object] = {"select": {"agent": ("writer", "critic")}}
OF_MODELS = {
    "roles": {"grader": "judge"},
    "sampling": {"val": {"temperature": 0}},
    "foreign": {"llm": {"resource_type": "llm", "endpoint": "http://127.0.0.1:1/v1", "model": "m"}},
}
OF_FAILURES: dict[str, object] = {"failures": {"environment": "zero"}, "max_failed_fraction": 0.5}
OF_JUDGES: dict[str, object] = {
    "judges": {"style": Component(name="llm", version="1", config={"model": "https://host/v1#m"})}
}
OF_REACTIONS = {"reactions": {"stop_early": Component(name="stop_early", version="1", config={"patience": 2})}}
OF_BUDGET: dict[str, object] = {"budget": {"calls": 500, "usd": 2.5}, "prices": {"critic": (0.15, 0.6)}}
OF_ATTEMPT = {"rollout_id": ROLLOUT, "attempt_id": ATTEMPT}
AT = 1_700_000_000_000_000_000
OF_SENDER = {
    "started_at": AT,
    "ended_at": AT + 1,
    "trace_state": "vendor=1",
    "links": ({"trace_id": "4bf92f3577b34da6a3ce929d0e0e4735", "span_id": "00f067aa0ba902b5", "attributes": {}},),
    "resource": {"service.name": "agent", "service.version": "1" * 256},
    "scope": {"name": "instrumentation", "version": "1.0"},
}

MEANINGS: dict[tuple[str, int], Event] = {
    (event.type, schema): event
    for schema, event in [
        (1, AttemptExpired(**OF_ATTEMPT, exit_status="worker_lost", why="process 7 on host is dead")),
        (1, AttemptFinished(**OF_ATTEMPT, exit_status="agent_raised", error="ValueError: no", late=True)),
        (1, AttemptStarted(**OF_ATTEMPT, sequence=2, worker_id="wk-1", token=2)),
        (
            1,
            AttemptUpdated(
                **OF_ATTEMPT,
                changed=("status", "worker_id", "metadata"),
                status="running",
                worker_id="wk-2",
                metadata={"k": "v"},
            ),
        ),
        (
            1,
            BatchFormed(
                **OF_RUN,
                batch_id="ba-1",
                adapter="triplets",
                rollouts=(ROLLOUT,),
                captured=5,
                kept=3,
                rows=2,
                dropped={"no_reward": 2},
                masked={"worker_lost": 1},
                digest="0f",
                options={"level": "transition", "agent": None},
                as_of=27,
                failures={"environment": "zero"},
                zeroed={"tool_failed": 1},
                unmatched={"unknown_target": 1},
            ),
        ),
        (1, BlobsErased(ids=("b2:00", "b2:01"), why="compact")),
        (
            1,
            CallRecorded(
                call_id=CALL,
                **OF_ATTEMPT,
                call=ModelCall(
                    model="policy",
                    messages=(
                        Message(role="system", content="Use the tool."),
                        Message(role="user", content=[{"type": "text", "text": "1 + 1 = ?"}], name="ann"),
                        Message(role="assistant", tool_calls=(ToolCall(id="c1", name="add", arguments='{"a": 1}'),)),
                        Message(role="tool", content="2", tool_call_id="c1", extra={"cached": True}),
                    ),
                    tools=(Tool(name="add", description="Adds.", parameters={"type": "object"}),),
                    sampling=Sampling(temperature=0.7, top_p=1.0, top_k=0, max_tokens=64, seed=7, stop=("\n",)),
                    choices=(
                        Choice(
                            message=Message(role="assistant", content="It is 2."),
                            finish_reason="stop",
                            token_ids=(11, 12, 13),
                            logprobs=(-0.5, -0.25, -0.125),
                        ),
                    ),
                    prompt_token_ids=tuple(range(300)),
                    usage=Usage(prompt_tokens=300, completion_tokens=3),
                    response_id="chatcmpl-1",
                    provenance="engine",
                    logprobs_mode="processed",
                    extra={"user": "someone", "looks_like_ours": {"$pool": "b2:00"}},
                ),
                agent="solver",
                parent_call_id="ca-0",
                retry_of="ca-9",
                requests=2,
                place="0.2:1",
                replay_of="ca-8",
                http_status=200,
                policy_version=3,
                started_at=AT,
                latency=0.25,
                first_token=0.125,
                tries=("http_429", "endpoint_down"),
            ),
        ),
        (1, CaptureLost(count=2, where="otel", why="queue full")),
        (
            1,
            CheckpointSaved(
                **OF_RUN,
                checkpoint_id="ck-1",
                digest="b2:ab",
                files={"model.safetensors": "b2:cd"},
                bytes=1024,
                metadata={"step": 3},
            ),
        ),
        (
            1,
            EndpointRegistered(
                model="policy",
                url="http://127.0.0.1:1/v1",
                max_len=512,
                token_ids=True,
                logprobs_mode="processed",
                tools="hermes",
                role="judge",
                named="org/model",
                checkpoint="b2:2f",
            ),
        ),
        (1, EndpointRemoved(model="policy", url="http://127.0.0.1:1/v1")),
        (1, GatewayPaused(model="policy")),
        (1, GatewayResumed(model="policy")),
        (1, MetricsLogged(**OF_RUN, step=3, metrics={"loss": 0.5, "reward/mean": 1.0})),
        (1, NoteTaken(text="Grüße", data={"n": [1, None, {"x": 0.5}]})),
        (1, PluginFailed(name="agl-x", hook="agl_recorded", why="KeyError: 'a'")),
        (1, PluginLoaded(name="agl-x", version="0.1.0")),
        (
            1,
            PolicyPromoted(**OF_RUN, policy="policy", version=3, checkpoint="b2:ab", value=0.75, why="val/reward 0.75"),
        ),
        (1, PolicyUpdated(**OF_RUN, policy="policy", version=3, checkpoint="b2:ab")),
        (
            1,
            ReplayDeparted(
                replay_id="re-1",
                rollout_id=ROLLOUT,
                code="REPLAY_DIFFERS",
                why="the prompt changed",
                recorded=CALL,
                difference=({"at": "messages[0].content", "recorded": "a", "asked": "b"},),
            ),
        ),
        (
            1,
            ReplayFinished(
                replay_id="re-1",
                rollout_id=ROLLOUT,
                outcome="forked",
                answered=3,
                live=2,
                tools=1,
                prefix="b2:ab",
                differs={"reward": [0.0, 1.0]},
            ),
        ),
        (
            1,
            ReplayStarted(
                replay_id="re-1",
                source="run.db",
                head=27,
                **OF_ATTEMPT,
                agent=Component(name="agent:solve"),
                fork_at=3,
                changed={"prompt": "new"},
                options={"ignore": ["[0-9]+"]},
            ),
        ),
        (1, ResourcesPromoted(resources_id="rs-1", version=2, why="best so far", by="ada", **OF_RUN)),
        (
            1,
            ResourcesPublished(
                resources_id="rs-1",
                version=2,
                parent="rs-1@1",
                why="edit",
                **OF_RUN,
                resources={"prompt": {"resource_type": "prompt_template", "template": "{x}", "engine": "f-string"}},
            ),
        ),
        (
            1,
            RewardGiven(
                **OF_ATTEMPT,
                target=Target(kind="call", id=CALL),
                value=0.5,
                name="style",
                judge="grader 1.0",
                evidence={"expected": "2"},
            ),
        ),
        (1, RewardWithdrawn(rollout_id=ROLLOUT, reward="01j", why="the grader was wrong")),
        (
            1,
            RewardWithheld(
                **OF_ATTEMPT,
                judge="grader 1.0",
                name="style",
                code="JUDGE_MALFORMED",
                why="no score in 3 answers",
                evidence={"calls": [CALL]},
            ),
        ),
        (1, RolloutCancelled(rollout_id=ROLLOUT, why="enough")),
        (1, RolloutDeleted(rollout_id=ROLLOUT, why="a mistake")),
        (
            1,
            RolloutEnqueued(
                rollout_id=ROLLOUT,
                input={"question": "1 + 1"},
                task_id="ta-1",
                mode="train",
                resources_id="rs-1",
                resources_version=2,
                metadata={"k": "v"},
                run_id=RUN,
                group="round-1",
                repeat=3,
                parent="ro-0",
                config=RolloutConfig(
                    timeout_seconds=30.0, unresponsive_seconds=5.0, max_attempts=3, retry_condition=("timeout",)
                ),
            ),
        ),
        (1, RolloutFinished(rollout_id=ROLLOUT, status="failed", exit_status="timeout", attempt_id=ATTEMPT)),
        (
            1,
            RolloutUpdated(
                rollout_id=ROLLOUT,
                changed=("input", "mode", "resources", "config", "metadata"),
                input={"question": "2 + 2"},
                task_id="ta-2",
                mode="val",
                resources_id="rs-1",
                resources_version=3,
                config=RolloutConfig(
                    timeout_seconds=60.0, unresponsive_seconds=9.0, max_attempts=2, retry_condition=("stalled",)
                ),
                metadata={"k": "w"},
            ),
        ),
        (1, RunFailed(**OF_RUN, code="STEP_FAILED", why="no")),
        (1, RunFinished(**OF_RUN, result={"reward": 1.0})),
        (1, RunResumed(**OF_RUN, after=12, **OF_BUDGET)),
        (1, RunStopAsked(**OF_RUN, why="no gain in five rounds", by="stop-early 0.1.0")),
        (
            1,
            RunStarted(
                **OF_RUN,
                agent=Component(name="agent:solve", version="1.0", config={"a": 1}, importable=False, why="notebook"),
                algorithm=Component(name="grpo"),
                models={"policy": "transformers:/m"},
                seed=7,
                deterministic=True,
                resumable=False,
                n_runners=4,
                config=RunConfig(
                    **OF_CONFIG,
                    **OF_MODELS,
                    **OF_SELECT,
                    **OF_FAILURES,
                    **OF_JUDGES,
                    **OF_REACTIONS,
                    **OF_BUDGET,
                ),
                train=({"q": 1}, {"q": 2}),
                val=({"q": 3},),
                test=({"q": 4},),
            ),
        ),
        (
            1,
            SpanRecorded(
                **OF_ATTEMPT,
                span_id="00f067aa0ba902b7",
                trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
                parent_id="00f067aa0ba902b6",
                name="tool",
                kind="client",
                attributes={"gen_ai.tool.name": "add"},
                events=({"name": "e", "at": 1},),
                status="error",
                status_message="no",
                agent="solver",
                sequence_id=7,
                **OF_SENDER,
            ),
        ),
        (
            1,
            SpanUnassigned(
                why="nobody said whose it is",
                span_id="00f067aa0ba902b7",
                trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
                parent_id="00f067aa0ba902b6",
                name="tool",
                kind="client",
                attributes={"gen_ai.tool.name": "add"},
                events=({"name": "e", "at": 1},),
                status="error",
                status_message="no",
                **OF_SENDER,
            ),
        ),
        (
            1,
            StepRecorded(
                **OF_RUN,
                label="critique",
                digest="0f",
                result={"text": "better"},
                seconds=0.5,
                function="picker:critique",
                arguments=("a prompt", {"digest": "b2:1f", "bytes": 2048}),
            ),
        ),
        (1, OutcomesRead(**OF_RUN, as_of=12, groups=(0, 2))),
        (1, TestOpened(**OF_RUN, tasks=64)),
        (1, TracerAttached(name="openai", package="openai", version="2.0")),
        (1, WorkerJoined(worker_id="wk-1", host="host", pid=7)),
        (1, WorkerLeft(worker_id="wk-1", why="done")),
    ]
}
"""What each schema that was ever written means today."""

_BEFORE_PLACES: dict[str, object] = {"place": None, "replay_of": None}
_BEFORE_REQUESTS: dict[str, object] = {**_BEFORE_PLACES, "requests": 1}
_BEFORE_RETRIES: dict[str, object] = {**_BEFORE_REQUESTS, "retry_of": None}
_BEFORE_STREAMS: dict[str, object] = {**_BEFORE_RETRIES, "first_token": None, "tries": ()}
_BEFORE_ROLES: dict[str, object] = {"config": RunConfig(**OF_CONFIG)}
_BEFORE_SELECT: dict[str, object] = {"config": RunConfig(**OF_CONFIG, **OF_MODELS)}
_BEFORE_FAILURES: dict[str, object] = {"config": RunConfig(**OF_CONFIG, **OF_MODELS, **OF_SELECT)}
_BEFORE_JUDGES: dict[str, object] = {"config": RunConfig(**OF_CONFIG, **OF_MODELS, **OF_SELECT, **OF_FAILURES)}
_BEFORE_REACTIONS: dict[str, object] = {
    "config": RunConfig(**OF_CONFIG, **OF_MODELS, **OF_SELECT, **OF_FAILURES, **OF_JUDGES)
}
_BEFORE_BUDGET: dict[str, object] = {
    "config": RunConfig(**OF_CONFIG, **OF_MODELS, **OF_SELECT, **OF_FAILURES, **OF_JUDGES, **OF_REACTIONS)
}
_BEFORE_AS_OF: dict[str, object] = {"options": None, "as_of": None, "failures": {}, "zeroed": {}, "unmatched": {}}
_BEFORE_SENDERS: dict[str, object] = {"trace_state": None, "links": (), "resource": {}, "scope": {}}
_BEFORE_SIDES: dict[str, object] = {"function": "", "arguments": ()}
BEFORE: dict[str, dict[str, object]] = {
    "batch.formed.v1": _BEFORE_AS_OF,
    "span.recorded.v1": {**_BEFORE_SENDERS, "sequence_id": None},
    "span.recorded.v1.2": _BEFORE_SENDERS,
    "call.recorded.v1": _BEFORE_STREAMS,
    "call.recorded.v1.2": _BEFORE_STREAMS,
    "call.recorded.v1.3": _BEFORE_RETRIES,
    "call.recorded.v1.4": _BEFORE_REQUESTS,
    "call.recorded.v1.5": _BEFORE_PLACES,
    "endpoint.registered.v1": {"role": "policy", "named": "", "checkpoint": None},
    "endpoint.registered.v1.2": {"checkpoint": None},
    "outcomes.read.v1": {"groups": None},
    "resources.promoted.v1": {"by": ""},
    "run.resumed.v1": {"budget": {}, "prices": {}},
    "run.started.v1": _BEFORE_ROLES,
    "run.started.v1.2": _BEFORE_ROLES,
    "run.started.v1.3": _BEFORE_SELECT,
    "run.started.v1.4": _BEFORE_FAILURES,
    "run.started.v1.5": _BEFORE_JUDGES,
    "run.started.v1.6": _BEFORE_REACTIONS,
    "run.started.v1.7": _BEFORE_BUDGET,
    "step.recorded.v1": _BEFORE_SIDES,
    "step.recorded.v1.2": _BEFORE_SIDES,
}
"""Golden to the fields that came after it was written, with the default they have in it."""


def read(path: Path) -> Encoded:
    """The event as the file keeps it."""
    kept = json.loads(path.read_text())
    blobs = {id_: base64.b64decode(content) for id_, content in kept["blobs"].items()}
    meaning = replace(MEANINGS[kept["type"], kept["schema"]], **BEFORE.get(path.stem, {}))
    return Encoded(kept["type"], kept["schema"], kept["data"].encode(), meaning, blobs)


def is_written(encoded: Encoded) -> bool:
    """Whether a golden has these very bytes."""
    return any((kept.data, kept.blobs) == (encoded.data, encoded.blobs) for kept in map(read, GOLDENS))


def write_missing() -> list[Path]:
    """Write a golden for each event that today's code encodes to bytes no golden has."""
    written = []
    FOLDER.mkdir(exist_ok=True)
    for encoded in (Codec().encode(MEANINGS[cls.type, cls.schema]) for cls in CORE_EVENTS):
        if is_written(encoded):
            continue
        stem = f"{encoded.type}.v{encoded.schema}"
        number = 1 + len([path for path in GOLDENS if path.name.startswith(f"{stem}.")])
        path = FOLDER / (f"{stem}.json" if number == 1 else f"{stem}.{number}.json")
        blobs = {id_: base64.b64encode(content).decode() for id_, content in sorted(encoded.blobs.items())}
        kept = {"type": encoded.type, "schema": encoded.schema, "data": encoded.data.decode(), "blobs": blobs}
        with path.open("x") as file:  # "x": a golden is never overwritten
            file.write(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        written.append(path)
    return written


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_todays_code_reads_what_was_written(path):
    """Every schema that was ever shipped decodes to what it means today."""
    kept = read(path)

    assert Codec().decode(kept.type, kept.schema, kept.data, kept.blobs.__getitem__) == kept.event


@pytest.mark.parametrize("cls", CORE_EVENTS, ids=lambda cls: cls.type)
def test_todays_bytes_are_in_a_golden(cls):
    """A change of what is written cannot pass unseen: `python tests/golden/test_events.py` adds the file."""
    encoded = Codec().encode(MEANINGS[cls.type, cls.schema])

    assert is_written(encoded)


def test_every_schema_has_a_golden():
    """Of every type, from the first schema to today's."""
    schemas = {(cls.type, schema) for cls in CORE_EVENTS for schema in range(1, cls.schema + 1)}

    assert {(kept.type, kept.schema) for kept in map(read, GOLDENS)} == schemas == set(MEANINGS)


def test_a_golden_says_more_than_the_defaults():
    """An example that leaves fields out would not notice when they change."""
    silent = [
        (event.type, field.name)
        for event in MEANINGS.values()
        for field in fields(event)
        if getattr(event, field.name) == field.default
    ]

    assert silent == [("call.recorded", "role"), ("call.recorded", "status"), ("call.recorded", "error")]


if __name__ == "__main__":
    for path in write_missing():
        print(path.name)
