"""An agent on OpenAI's SDK, with and without a tracer in its process: the processor time of its calls.

Imports nothing but the SDK and the tracer it is told to: peers run it in an environment of their own. For each number
on stdin it makes so many calls untraced and traced, plain and streamed, and says microseconds a call as JSON.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from time import process_time
from typing import Any

import openai

MESSAGES: list[Any] = [
    {"role": "system", "content": "You solve word problems. " * 10},
    {"role": "user", "content": "A baker has six trays of seven rolls. How many rolls? " * 5},
    {"role": "assistant", "content": "Let me multiply. " * 10},
    {"role": "user", "content": "Go on, and answer with a number."},
]
Tracer = Callable[[], AbstractContextManager[Any]]


def main(name: str, upstream: str) -> None:
    """Answer until nobody asks any more."""
    with ExitStack() as closing:
        client = closing.enter_context(openai.OpenAI(base_url=f"{upstream}/v1", api_key="none"))
        traced = {"ours": tapped, "openinference": instrumented}[name](closing)
        print("ready", flush=True)
        for line in sys.stdin:
            figures = {}
            for kind, streams in (("plain", False), ("streamed", True)):
                for how, tracer in (("untraced", nullcontext), ("traced", traced)):
                    figures[f"{kind} {how}"] = cost(client, tracer, int(line), streams=streams)
            print(json.dumps(figures), flush=True)


def cost(client: openai.OpenAI, tracer: Tracer, count: int, *, streams: bool) -> float:
    """Microseconds of processor time a call, of all threads."""
    before = process_time()
    with tracer():
        for _ in range(count):
            reply: Any = client.chat.completions.create(model="policy", messages=MESSAGES, stream=streams)
            for _chunk in reply if streams else ():
                pass
    return (process_time() - before) / count * 1e6


def tapped(closing: ExitStack) -> Tracer:
    """Ours, over a log on disk: a batch is over when all of it is durable."""
    import asyncio
    from contextlib import contextmanager

    from agl_core import open_store
    from agl_core.recorder import Recorder, Scope, attributed
    from agl_core.tap import tapped

    store = open_store(str(Path(closing.enter_context(tempfile.TemporaryDirectory()), "log.db")))
    closing.callback(store.log.close)
    closing.callback(store.close)
    rollout = asyncio.run(store.start_rollout({"question": "6*7"}))
    ids = {"rollout_id": rollout.rollout_id, "attempt_id": rollout.attempt.attempt_id}
    recorder = Recorder(store.log)

    @contextmanager
    def traced() -> Any:
        scope = Scope(recorder=recorder, run_id=None, **ids)
        with tapped(), attributed(scope):
            yield
        for kept in list(scope.pending):
            kept.result()

    return traced


def instrumented(closing: ExitStack) -> Tracer:
    """OpenInference, which hands spans to OpenTelemetry, which hands them to nobody."""
    from contextlib import contextmanager

    from openinference.instrumentation.openai import OpenAIInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Nowhere(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    closing.callback(provider.shutdown)

    @contextmanager
    def traced() -> Any:
        OpenAIInstrumentor().instrument(tracer_provider=provider)
        yield
        provider.force_flush()
        OpenAIInstrumentor().uninstrument()

    return traced


if __name__ == "__main__":
    main(*sys.argv[1:])
