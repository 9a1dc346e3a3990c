"""What docs/how-to/coming-from-agent-lightning.md claims, claim by claim."""

import asyncio
import importlib.metadata
import inspect
import math
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import agl_core as agl
from agl_core.errors import BadValue, UnknownId
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.resources import PromptTemplate
from agl_core.runner import Runner
from agl_core.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "coming-from-agent-lightning.md"


@pytest.fixture
def store():
    """A store over a log that goes when the test does."""
    with SqliteLog(":memory:", projections=CORE) as log:
        store = Store(log)
        yield store
        store.close()


V03 = {
    # Agents
    "LitAgent": "*, trained_agents=None",
    "rollout": "func",
    "llm_rollout": "func=None, *, strip_proxy=True",
    "prompt_rollout": "func=None",
    # Training
    "Trainer": "*, dev=False, n_runners=None, max_rollouts=None, initial_resources=None, tracer=None, adapter=None, "
    "store=None, runner=None, strategy=None, port=None, algorithm=None, llm_proxy=None, n_workers=None, "
    "max_tasks=None, daemon=True, triplet_exporter=None, hooks=None",
    "build_component": "spec, *, expected_type, spec_name, default_factory=None, allow_none=False, "
    "optional_defaults=None, dict_requires_type=True, dict_default_cls=None, type_error_fmt=None",
    "Algorithm": None,
    "algo": "func",
    "FastAlgorithm": "",
    "Baseline": "*, n_epochs=1, train_split=0.5, polling_interval=5.0, max_queue_length=4, span_verbosity='keys'",
    "APO": None,
    "VERL": None,
    # Runners
    "Runner": "",
    "LitAgentRunner": "tracer, max_rollouts=None, poll_interval=5.0, heartbeat_interval=10.0, interval_jitter=0.5, "
    "heartbeat_launch_mode='thread', heartbeat_include_gpu=False",
    "LegacyAgentRunner": None,
    "Hook": "",
    "ParallelWorkerBase": "",
    # Emitters
    "emit_reward": "reward, *, primary_key=None, attributes=None, propagate=True",
    "emit_annotation": "annotation, propagate=True",
    "emit_message": "message, attributes=None, propagate=True",
    "emit_object": "object, attributes=None, propagate=True",
    "emit_exception": "exception, attributes=None, propagate=True",
    "operation": "fn=None, *, propagate=True, name=None, **additional_attributes",
    "reward": None,
    "find_final_reward": "spans",
    "find_reward_spans": "spans",
    "is_reward_span": "span",
    "get_reward_value": "span",
    "get_rewards_from_span": "span",
    "get_message_value": "span",
    "get_object_value": "span",
    # Tracers, adapters, store, execution, proxy
    **dict.fromkeys(
        [
            "Tracer", "AgentOpsTracer", "OtelTracer", "DummyTracer", "get_active_tracer", "set_active_tracer",
            "clear_active_tracer", "OtelTraceAdapter", "TraceAdapter", "TraceToTripletBase",
            "LightningStore", "LightningStoreCapabilities",
            "LightningStoreStatistics", "CollectionBasedLightningStore", "InMemoryLightningStore",
            "LightningStoreThreaded", "LightningStoreServer", "LightningStoreClient", "ExecutionStrategy",
            "SharedMemoryExecutionStrategy", "ClientServerExecutionStrategy", "ExecutionEvent", "ThreadingEvent",
            "MultiprocessingEvent", "LLMProxy",
        ]
    ),
    "Adapter": "",
    "TracerTraceToTriplet": r"repair_hierarchy=True, llm_call_match='openai\\.chat\\.completion', agent_match=None, "
    "exclude_llm_call_in_reward=True, reward_match='first_occurrence', _skip_empty_token_spans=False",
    "LlmProxyTraceToTriplet": "",
    "TraceToMessages": "",
    # Types
    "Triplet": "*, prompt, response, reward=None, metadata={}",
    "Rollout": "*, rollout_id, input, start_time, end_time=None, mode=None, resources_id=None, status='queuing', "
    "config=RolloutConfig(), metadata=None",
    "AttemptedRollout": "*, rollout_id, input, start_time, end_time=None, mode=None, resources_id=None, "
    "status='queuing', config=RolloutConfig(), metadata=None, attempt",
    "Attempt": "*, rollout_id, attempt_id, sequence_id, start_time, end_time=None, status='preparing', worker_id=None, "
    "last_heartbeat_time=None, metadata=None",
    "RolloutConfig": "*, timeout_seconds=None, unresponsive_seconds=None, max_attempts=1, retry_condition=()",
    "EnqueueRolloutRequest": "*, input, mode=None, resources_id=None, config=None, metadata=None",
    "Worker": "*, worker_id, status='unknown', heartbeat_stats=None, last_heartbeat_time=None, last_dequeue_time=None, "
    "last_busy_time=None, last_idle_time=None, current_rollout_id=None, current_attempt_id=None",
    "Span": "*, rollout_id, attempt_id, sequence_id, trace_id, span_id, parent_id, name, status, attributes, events, "
    "links, start_time, end_time, context, parent, resource",
    "SpanCoreFields": "*, name, status, attributes, start_time, end_time",
    "TraceStatus": "*, status_code, description=None",
    "LLM": "*, endpoint, model, api_key=None, sampling_parameters={}",
    "ProxyLLM": "*, endpoint, model, api_key=None, sampling_parameters={}",
    "PromptTemplate": "*, template, engine",
    "ResourcesUpdate": "*, resources_id, create_time, update_time, version, resources",
    "PaginatedResult": "*, items, limit, offset, total",
    **dict.fromkeys(
        [
            "AttemptStatus", "RolloutStatus", "RolloutMode", "RolloutRawResult", "WorkerStatus", "Task",
            "TaskInput", "Dataset", "SpanLike", "SpanNames", "SpanAttributeNames", "SpanContext",
            "SpanRecordingContext", "Event", "Link", "TraceState", "StatusCode", "Attributes", "AttributeValue",
            "OtelResource", "Resource", "ResourceUnion", "NamedResources", "FilterField", "FilterOptions",
            "SortOptions",
        ]
    ),
    # Environment, logging, command line
    "setup_logging": "level='INFO', *, console=True, color=True, propagate=False, disable_existing_loggers=False, "
    "capture_warnings=False, submodule_levels=None, extra_handlers=None, formatter=None, apply_to=None",
    "setup_module_logging": "level='INFO', *, name='agentlightning', console=True, color=True, propagate=False, "
    "disable_existing_loggers=False",
    **dict.fromkeys(
        [
            "LightningEnvVar", "resolve_bool_env_var", "resolve_int_env_var", "resolve_str_env_var", "configure_logger",
            "lightning_cli",
        ]
    ),
}  # fmt: skip
"""Every public name of v0.3 but those of v0.1, with what it takes; None for what nobody calls, or what is not here."""


OF_PLUGINS = {
    "LlmProxyTraceToTriplet": "agl_triplets",
    "TraceToMessages": "agl_messages",
    "TracerTraceToTriplet": "agl_triplets",
    "Triplet": "agl_triplets",
}
"""Names that a distribution of its own has, and the core hands on."""

V01 = {
    "AgentLightningClient", "AgentLightningServer", "DevTaskLoader", "RolloutLegacy", "TaskIfAny", "GenericResponse",
}  # fmt: skip
"""What v0.3 still had of v0.1."""
HEADINGS = ("The same", "The same, with other arguments", "Under another name", "Absent, yet or for good")
METHODS = {
    "is_async": "(self)",
    **dict.fromkeys(
        [f"{prefix}rollout{suffix}" for prefix in ("", "training_", "validation_") for suffix in ("", "_async")],
        "(self, task: T, resources: NamedResources, rollout: Rollout)",
    ),
    **dict.fromkeys(["get_runner", "get_tracer", "get_trainer"], "(self)"),
    "set_runner": "(self, runner: Any)",
    "set_trainer": "(self, trainer: Any)",
}


def taken(arguments: str) -> list[inspect.Parameter]:
    """The parameters of a function with those arguments."""
    made = eval(f"lambda {arguments}: None", {"RolloutConfig": agl.RolloutConfig})  # noqa: S307 - our own text
    return list(inspect.signature(made).parameters.values())


def differences(theirs: str, ours: Callable[..., object]) -> list[str]:
    """What of v0.3's arguments cannot be given to ours, or means something else when it is left out."""
    found = inspect.signature(ours).parameters
    places = [name for name, one in found.items() if one.kind is one.POSITIONAL_OR_KEYWORD]
    differing = []
    for place, one in enumerate(wanted := taken(theirs)):
        if one.kind is one.VAR_KEYWORD:
            differing += [] if any(other.kind is one.kind for other in found.values()) else [str(one)]
            continue
        other = found.get(one.name)
        if other is None or (one.kind is one.POSITIONAL_OR_KEYWORD and places[place : place + 1] != [one.name]):
            differing.append(one.name)
        elif one.default is not one.empty and not same(one.default, other.default):
            differing.append(f"{one.name}={other.default}")
    named = {one.name for one in wanted}
    extra = [
        one
        for one in found.values()
        if one.name not in named and one.kind in {one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD}
    ]
    return differing + [one.name for one in extra if one.default is one.empty]


def same(theirs: object, ours: object) -> bool:
    """None, and what is empty, are the same: nothing; so is what a factory makes."""
    return theirs == ours or (not theirs and theirs is not False and (not ours or repr(ours) == "<factory>"))


def names(heading: str) -> set[str]:
    """What stands in backquotes in the first column, or the paragraph, under a heading of the page."""
    section = PAGE.read_text().partition(f"### {heading}\n")[2].partition("\n#")[0]
    lines = section.splitlines()
    if rows := [line.split("|")[1] for line in lines if line.startswith("| `")]:
        return {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    lists = re.findall(r"^\w+: (`.*?)(?:\n\n|\Z)", section, re.MULTILINE | re.DOTALL)
    return {name for one in lists for name in re.findall(r"`(\w+)`", one)}


def test_the_tests_that_the_page_names_are_there():
    """Elsewhere or here."""
    root = PAGE.parents[2]
    kinds = ("", "adapters/*/", "plugins/*/")
    tests = "".join(path.read_text() for kind in kinds for path in root.glob(f"{kind}tests/**/test_*.py"))

    assert [name for name in re.findall(r"\(`(test_\w+)`\)", PAGE.read_text()) if f"def {name}(" not in tests] == []


@pytest.mark.parametrize("name", V03)
def test_every_name_of_v03_is_there_or_has_its_replacement(name):
    """In exactly one list of the page, and here with v0.3's arguments where the page says so."""
    if name in OF_PLUGINS:
        pytest.importorskip(OF_PLUGINS[name])
    where = [heading for heading in HEADINGS if name in names(heading)]

    assert len(where) == 1, where
    is_here = name in {*agl.__all__, *OF_PLUGINS} and hasattr(agl, name)
    assert is_here == (where[0] in HEADINGS[:2])
    if where == [HEADINGS[0]] and V03[name] is not None:
        assert differences(V03[name], getattr(agl, name)) == []


@pytest.mark.parametrize("name", sorted(name for name in V03 if V03[name] is not None and hasattr(agl, name)))
def test_arguments_that_are_said_to_differ_do(name):
    """The page is wrong as soon as they do not."""
    has_other_arguments = name in names(HEADINGS[1])

    # What `Adapter` differs in is no argument of its own: it is a protocol.
    assert bool(differences(V03[name], getattr(agl, name))) == has_other_arguments or name == "Adapter"


def test_the_page_has_no_name_that_is_neither_there_nor_here():
    """In its lists of v0.3's names."""
    known = {*V03, *V01}

    assert {heading: names(heading) - known for heading in HEADINGS} == {heading: set() for heading in HEADINGS}


def test_names_that_are_said_to_be_absent_are_not_there():
    """The page is wrong as soon as one of them comes."""
    absent = names("Absent, yet or for good")

    assert len(absent) > 10
    assert not absent & {*agl.__all__, *OF_PLUGINS}


def test_a_name_of_a_plugin_that_is_not_installed_says_what_to_install(monkeypatch):
    """As any name that is not there, with the cure."""
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_wanted: ())

    assert not hasattr(agl, "TracerTraceToTriplet")
    with pytest.raises(AttributeError, match="pip install agl-triplets"):
        getattr(agl, "TracerTraceToTriplet")  # noqa: B009 - what is not there when types are checked


@pytest.mark.parametrize(("name", "wanted"), sorted(METHODS.items()))
def test_methods_of_agents_take_what_they_took(name, wanted):
    """A subclass of v0.3's overrides them as it did."""
    assert str(inspect.signature(getattr(agl.LitAgent, name))).partition(" ->")[0].replace("'", "") == wanted


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_an_agent_that_is_cancelled_has_not_succeeded(store, is_async):
    """And its runner goes on."""

    @agl.rollout
    async def cancels(task):
        raise asyncio.CancelledError

    @agl.rollout
    def cancels_in_its_thread(task):
        raise asyncio.CancelledError

    async def story():
        rollouts = [await store.enqueue_rollout({"n": n}) for n in range(2)]
        runner = Runner(max_rollouts=2)
        with runner.run_context(agent=cancels if is_async else cancels_in_its_thread, store=store):
            assert await runner.iter() == 2
        return [await store.get_rollout_by_id(rollout.rollout_id) for rollout in rollouts]

    assert [(rollout.status, rollout.exit_status) for rollout in asyncio.run(story())] == [
        ("failed", "agent_raised"),
        ("failed", "agent_raised"),
    ]


def test_a_late_result_changes_nothing(store):
    """A cancelled rollout stays cancelled; that somebody finished it all the same is kept, and marked late."""

    async def story():
        taken = await store.start_rollout({"n": 1})
        await store.cancel_rollout(taken.rollout_id, "enough")
        finished = await store.finish_attempt(taken.attempt, "completed")
        return finished, await store.get_rollout_by_id(taken.rollout_id)

    finished, rollout = asyncio.run(story())

    assert finished.late
    assert rollout.status == "cancelled"
    assert rollout.end_time is not None
    assert rollout.attempt.end_time is not None


def test_a_rollout_keeps_the_version_it_was_given(store):
    """Updating a bundle makes a version, and replaces none."""

    async def story():
        first = await store.add_resources({"p": PromptTemplate("one")})
        rollout = await store.enqueue_rollout({"n": 1})
        await store.update_resources(first.resources_id, {"p": PromptTemplate("two")})
        return await store.get_resources_by_id(first.resources_id, rollout.resources_version), first.resources_id

    pinned, name = asyncio.run(story())

    assert pinned.resources["p"].format() == "one"
    assert store.ask.resources(name).resources["p"].format() == "two"


def test_what_is_unknown_is_refused(store):
    """At the door, and nothing is left behind in `preparing`."""

    async def story():
        with pytest.raises(UnknownId):
            await store.enqueue_rollout({"n": 1}, resources_id="rs-unknown")
        with pytest.raises(UnknownId):
            await store.update_resources("rs-unknown", {"p": PromptTemplate("one")})
        with pytest.raises(UnknownId):
            await store.wait_for_rollouts(rollout_ids=["ro-unknown"], timeout=0)

    asyncio.run(story())

    assert store.log.head() == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "high"])
def test_a_reward_is_a_finite_number(store, value):
    """Whatever else it is, it is refused."""

    async def story():
        taken = await store.start_rollout({"n": 1})
        with pytest.raises(BadValue):
            await store.add_reward(taken.rollout_id, value)

    asyncio.run(story())


@pytest.mark.parametrize(
    "settings",
    [
        {"timeout_seconds": -1},
        {"unresponsive_seconds": 0},
        {"max_attempts": 0},
        {"retry_condition": ("succeeded",)},
        {"retry_condition": ("queueing",)},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    """When they are made, not when they would matter."""
    with pytest.raises(BadValue):
        agl.RolloutConfig(**settings)


def test_braces_in_a_prompt_stay():
    """JSON in an f-string template is text; a placeholder without a value is an error with its name."""
    template = PromptTemplate('Answer as {"greeting": {"to": "..."}} to {name}.')

    assert template.format(name="Ada") == 'Answer as {"greeting": {"to": "..."}} to Ada.'
    with pytest.raises(BadValue, match="name"):
        template.format()


def test_jinja_templates_render():
    """In a sandbox, as prompts are written by models too."""
    assert PromptTemplate("{% for n in names %}{{ n }} {% endfor %}", engine="jinja").format(names="ab") == "a b "


def test_waiting_for_many_is_one_wait(store):
    """A hundred unfinished ids cost no thread each, and the time-out is kept for all of them together."""

    async def story():
        rollouts = [await store.enqueue_rollout({"n": n}) for n in range(100)]
        before = threading.active_count()
        done = await store.wait_for_rollouts(rollout_ids=[rollout.rollout_id for rollout in rollouts], timeout=0.01)
        return done, threading.active_count() - before

    done, threads = asyncio.run(story())

    assert done == []
    assert threads <= 1


def test_named_rewards_say_which_of_them_trains(store):
    """A dict of several without one called primary is refused, not guessed at."""
    seen = []

    @agl.rollout
    def judged(task):
        with pytest.raises(BadValue, match="a, b"):
            agl.emit_reward({"a": 1.0, "b": 2.0})
        agl.emit_annotation({"agentlightning.reward_model": "not a reward"})
        seen.append(agl.get_reward_value(agl.emit_reward({"a": 1.0, "b": 2.0}, primary_key="b")))

    async def story():
        with Runner().run_context(agent=judged, store=store) as runner:
            return await runner.step({"n": 1})

    rollout = asyncio.run(story())

    assert store.ask.outcomes([rollout.rollout_id])[0].reward == 2.0
    assert seen == [2.0]


def test_a_setting_that_nothing_reads_is_refused():
    """v0.3's Baseline takes `train_split`, checks its range, and uses it nowhere."""
    with pytest.raises(TypeError, match="train_split"):
        agl.Baseline(train_split=0.5)


def test_a_trainer_ends_when_its_algorithm_does(tmp_path):
    """Also with runners in threads of one process, under v0.3's name for that, and with no limit of rollouts."""

    @agl.rollout
    def agent(task) -> float:
        return 1.0

    summary = agl.Trainer(store=str(tmp_path / "log.db"), strategy="shm", algorithm="baseline").fit(agent, [{"n": 1}])

    assert summary.status == "finished"
