"""Beside a host's own telemetry we leave no mark: items of T4 of the users' pains."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import pytest

import agl_core as agl
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.projections import CORE
from agl_core.recorder import Recorder
from agl_core.testing import ScriptedModel

HOST = """
import asyncio, json, logging, sys, warnings

import httpx
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

IS_ON, URL, LOG = sys.argv[1] == "on", sys.argv[2], sys.argv[3]
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
tracer, FILTERS = trace.get_tracer("host"), list(warnings.filters)

def marks():
    names = ["httpx", "openai", "opentelemetry", "asyncio", "uvicorn"]
    kept = {"provider": trace.get_tracer_provider(), "propagator": propagate.get_global_textmap(),
            "last resort": logging.lastResort, "excepthook": sys.excepthook, "thread hook": threading_hook(),
            "root level": logging.root.level, "disabled": logging.root.manager.disable}
    kept |= {f"level of {name}": logging.getLogger(name).level for name in names}
    kept |= {f"handler {n} of {name}": one for name in ["", *names]
             for n, one in enumerate(logging.getLogger(name).handlers)}
    kept |= {f"processor {n}": one for n, one in enumerate(provider._active_span_processor._span_processors)}
    # Libraries that are imported late may add filters of their own; those of the host stay.
    return kept | {f"filter {n}": one in warnings.filters for n, one in enumerate(FILTERS)}

def threading_hook():
    import threading
    return threading.excepthook

async def numbers():
    for number in range(2):
        with tracer.start_as_current_span(f"number {number}"):
            yield number

async def work(task):
    with tracer.start_as_current_span("task", attributes={"task": task}):
        async with httpx.AsyncClient() as client:
            with tracer.start_as_current_span("ask") as span:
                body = {"model": "policy", "messages": [{"role": "user", "content": f"task {task}"}]}
                reply = await client.post(f"{URL}/chat/completions", json=body)
                span.set_attribute("said", reply.json()["choices"][0]["message"]["content"])
        def in_a_thread():
            with tracer.start_as_current_span("thread"):
                pass
        await asyncio.gather(asyncio.to_thread(in_a_thread), asyncio.to_thread(in_a_thread))
        [number async for number in numbers()]
        try:
            with tracer.start_as_current_span("fails"):
                raise LookupError("of the host's own")
        except LookupError:
            pass
    return 1.0

before = marks()
calls = 0
if IS_ON:
    import agl_core as agl
    @agl.rollout
    async def agent(task):
        return await work(task)
    agl.Trainer(store=LOG, n_runners=3).fit(agent, list(range(6)))
    with agl.open_log(LOG, readonly=True) as log:
        calls = sum(1 for _ in log.read(types=["call.recorded"]))
else:
    async def every():
        await asyncio.gather(*(work(task) for task in range(6)))
    asyncio.run(every())
after = marks()
spans = exporter.get_finished_spans()
names = {span.context.span_id: span.name for span in spans}
print(json.dumps({
    "calls": calls,
    "marks": [name for name in before.keys() | after.keys() if before.get(name) is not after.get(name)],
    "traces": len({span.context.trace_id for span in spans}),
    "spans": sorted((
        [span.name, names.get(span.parent.span_id, "?") if span.parent else None, dict(span.attributes),
         span.status.status_code.name, [event.name for event in span.events], span.kind.name,
         dict(span.resource.attributes)["service.name"]]
        for span in spans
    ), key=json.dumps),
}, sort_keys=True))
"""


ORDER = """
import importlib, json, sys

LIBRARY, ORDER, URL, LOG = sys.argv[1:]
MODULE = {"langchain": "langchain_openai"}.get(LIBRARY, LIBRARY)
if ORDER == "before":
    importlib.import_module(MODULE)
import agl_core as agl

def ask(words):
    module = importlib.import_module(MODULE)
    messages = [{"role": "user", "content": words}]
    if LIBRARY == "openai":
        with module.OpenAI(base_url=URL, api_key="none") as client:
            client.chat.completions.create(model="policy", messages=messages)
    elif LIBRARY == "litellm":
        module.completion(model="openai/policy", api_base=URL, api_key="none", messages=messages)
    else:
        module.ChatOpenAI(base_url=URL, api_key="none", model="policy").invoke(words)

@agl.rollout
def agent(task):
    ask(f"first of {task}")
    ask(f"second of {task}")
    return 1.0

agl.Trainer(store=LOG, n_runners=2).fit(agent, list(range(4)))
with agl.open_log(LOG, readonly=True) as log:
    facts = [record.event for record in log.read(types=["call.recorded", "span.recorded", "capture.lost"])]
print(json.dumps(sorted(
    [fact.type, getattr(fact, "name", None), fact.call.messages[-1].content if fact.type == "call.recorded" else None]
    for fact in facts
    if getattr(fact, "status", None) not in {"error", "broken"}  # a client that is kept waiting may ask again
)))
"""


SOCKETS = """
import atexit, json, sys

SEEN = []

def heard(event, arguments):
    if event in {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}:
        address = arguments[1] if event in {"socket.connect", "socket.bind", "socket.sendto"} else arguments[:2]
        SEEN.append([event, *map(str, address)] if isinstance(address, tuple) else [event, str(address)])

sys.addaudithook(heard)
atexit.register(lambda: print("\\nseen " + json.dumps(SEEN)))
"""


PROGRAMS = {
    "import agl_core": "import agl_core",
    "agl --help": "import agl_core.cli; sys.argv = ['agl', '--help']; agl_core.cli.main()",
    "agl plugins": "import agl_core.cli; sys.argv = ['agl', 'plugins']; agl_core.cli.main()",
    "tracing": "import agl_core as agl; log = agl.open_log(':memory:')\n"
    "from agl_core.plugins import Plugins; from agl_core.recorder import Recorder\n"
    "with Plugins.load().tracing(Recorder(log)): pass\n"
    "log.close()",
}


RUN = """
import agl_core as agl
import httpx

@agl.rollout
def agent(task, llm):
    body = {"model": llm.model, "messages": [{"role": "user", "content": str(task)}]}
    headers = {"authorization": f"Bearer {llm.api_key}"}
    httpx.post(f"{llm.endpoint}/chat/completions", json=body, headers=headers).raise_for_status()
    return 1.0

agl.Trainer(store="log.db", n_runners=2, models={"policy": sys.argv[1] + "#policy"}).fit(agent, [1, 2, 3])
"""


@pytest.fixture
def run(tmp_path):
    """A program of a host's, in a process of its own; what its last line says."""

    def started(program: str, *arguments: str) -> Any:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(agl.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.strip().splitlines()[-1].removeprefix("seen "))

    return started


# --- T4.1: a host with its own provider keeps an identical set of exported spans, with us on or off


def test_t4_1_a_hosts_spans_are_the_same_with_us_on_and_off(run, tmp_path):
    """And so are its provider, processors, propagators, logging, warnings and hooks: the very same objects.

    Also T4.5, from the host's side: its spans nest as ever over gather, threads and asynchronous generators.
    """
    with ScriptedModel("four") as model:
        off = run(HOST, "off", model.url, "none")
        on = run(HOST, "on", model.url, str(tmp_path / "log.db"))

    assert (off["calls"], on["calls"]) == (0, 6)
    assert on["marks"] == []
    assert on["spans"] == off["spans"]
    assert on["traces"] == off["traces"] == 6
    assert len(on["spans"]) == 6 * 7


def test_t4_1_what_a_host_sends_is_the_same_with_us_on_and_off(run, tmp_path):
    """Not a header of ours goes to a server that is not our gateway, and not a byte of a body changes."""
    with ScriptedModel("four") as model:
        run(HOST, "off", model.url, "none")
        off = model.requests
        run(HOST, "on", model.url, str(tmp_path / "log.db"))
        on = model.requests[len(off) :]

    def sent(requests):
        return sorted(json.dumps([asked.body, sorted(asked.headers.items()), asked.path]) for asked in requests)

    assert sent(on) == sent(off)


@pytest.mark.slow
@pytest.mark.parametrize("library", ["openai", "litellm", "langchain"])
def test_t4_1_the_order_of_imports_makes_no_difference(run, tmp_path, library):
    """A library that was there before us is heard like one that an agent imports in the middle of an attempt."""
    pytest.importorskip({"langchain": "langchain_openai"}.get(library, library))

    with ScriptedModel("four") as model:
        before = run(ORDER, library, "before", model.url, str(tmp_path / "before.db"))
        after = run(ORDER, library, "after", model.url, str(tmp_path / "after.db"))

    assert before == after
    calls = sorted(words for kind, _, words in before if kind == "call.recorded")
    assert calls == sorted(chain.from_iterable((f"first of {task}", f"second of {task}") for task in range(4)))
    assert "capture.lost" not in {kind for kind, *_ in before}


# --- T4.2: installing and taking out is idempotent, nestable, reversible


def tracers() -> list[Any]:
    """What every installed plugin, and the core, installs; where a framework is absent, nothing is."""
    return list(Plugins.load(lenient=True).hook.agl_install_tracer.get_hookimpls())


def attributes() -> Iterator[tuple[str, str, object]]:
    """Every function, class and descriptor of the libraries that are loaded, by its owner and name."""
    roots = {"httpx", "httpx2", "httpcore", "openai", "agents", "lm15", "anthropic", "litellm", "langchain_core",
             "langchain", "langgraph", "autogen_core", "autogen_agentchat", "crewai", "smolagents", "pydantic_ai",
             "opentelemetry", "logging", "asyncio", "threading", "urllib", "http"}  # fmt: skip
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] not in roots or not inspect.ismodule(module):
            continue
        for key, value in list(vars(module).items()):
            if inspect.isclass(value) and value.__module__ == name:
                yield from ((f"{name}.{key}", own, kept) for own, kept in list(vars(value).items()) if _is_code(kept))
            if _is_code(value):
                yield name, key, value


def _is_code(value: object) -> bool:
    return callable(value) or isinstance(value, property | classmethod | staticmethod)


def changes(before: list[tuple[str, str, object]]) -> list[str]:
    """What is not the very object that it was, or is new on a class."""
    now = {(owner, name): value for owner, name, value in attributes()}
    owners = {owner for owner, _, _ in before}
    known = {(owner, name) for owner, name, _ in before}
    replaced = [f"{owner}.{name}" for owner, name, value in before if now.get((owner, name), value) is not value]
    gone = [f"{owner}.{name} is gone" for owner, name, _ in before if (owner, name) not in now]
    added = [
        f"{owner}.{name} is new" for owner, name in now.keys() - known if owner in owners and owner not in sys.modules
    ]
    return [*replaced, *gone, *added]


FRAMEWORKS = {
    "autogen": ("autogen_core", "autogen_agentchat", "autogen_agentchat.agents", "autogen_agentchat.teams"),
    "builtin": ("httpx", "httpx2", "lm15", "openai"),
    "crewai": ("crewai",),
    "langchain": ("langchain_core.callbacks", "langchain.agents", "langgraph.graph"),
    "openai": ("openai",),
    "openai-agents": ("agents",),
}
"""What a tracer waits for: nothing is patched in a library that is not there."""


LEAVING = {
    "the last in leaves first": [("in", 0), ("in", 1), ("in", 2), ("out", 2), ("out", 1), ("out", 0)],
    "the first in leaves first": [("in", 0), ("in", 1), ("in", 2), ("out", 0), ("out", 1), ("out", 2)],
    "each as it likes": [("in", 0), ("in", 1), ("out", 0), ("in", 2), ("out", 2), ("out", 1)],
    "again and again": [("in", 0), ("out", 0), ("in", 1), ("out", 1), ("in", 2), ("out", 2)],
}


@pytest.mark.parametrize("order", LEAVING)
@pytest.mark.parametrize("tracer", tracers(), ids=lambda impl: impl.plugin_name)
def test_t4_2_everything_is_the_very_object_it_was(tracer, order):
    """Whoever comes and goes, in whichever order: nothing of any library is replaced, gone or added."""
    for module in FRAMEWORKS.get(tracer.plugin_name, ()):
        with suppress(ImportError), warnings.catch_warnings(action="ignore"):
            importlib.import_module(module)
    with SqliteLog(":memory:", projections=CORE) as log:
        recorder = Recorder(log)
        with tracer.function(recorder) or ExitStack():
            pass  # what it imports late is there from now on
        before, inside = list(attributes()), {}

        for way, who in LEAVING[order]:
            if way == "in":
                inside[who] = ExitStack()
                inside[who].enter_context(tracer.function(recorder) or ExitStack())
            else:
                inside.pop(who).close()

        assert changes(before) == []


# --- T4.3: no network by default


@pytest.mark.parametrize("program", PROGRAMS)
def test_t4_3_no_socket_is_opened_that_nobody_asked_for(run, program):
    """Not by being imported, not by its help, not by what its plugins put in."""
    assert run(f"{SOCKETS}\n{PROGRAMS[program]}") == []


def test_t4_3_a_run_speaks_to_its_gateway_and_its_model_alone(run):
    """Both on loopback: what is bound is ours, and what is reached is that, or the model that the user named."""
    with ScriptedModel("four") as model:
        seen = run(f"{SOCKETS}\n{RUN}", model.url)
        (port,) = {httpx.URL(model.url).port}

    hosts = {address[1] for address in seen if address[0] != "socket.getaddrinfo"}
    bound = {address[2] for address in seen if address[0] == "socket.bind"}
    reached = {address[2] for address in seen if address[0] == "socket.connect"}
    looked_up = {address[1] for address in seen if address[0] == "socket.getaddrinfo"}
    assert hosts <= {"127.0.0.1"}
    assert looked_up <= {"127.0.0.1", "localhost", "None"}
    assert bound == {"0"}, "any free port"
    assert str(port) in reached
    assert len(reached - {str(port)}) == 1, "the gateway"
