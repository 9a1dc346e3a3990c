"""How an agent ends is a fact with a reason, and what it left behind is kept."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Mapping

import httpx
import pytest

import agl_core as agl
from agl_core.errors import BadValue, OutsideAttempt, UnknownName
from agl_core.gateway import Gateway
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder
from agl_core.resources import LLM, PromptTemplate, ProxyLLM
from agl_core.runner import GATEWAY, Hook, Runner
from agl_core.store import EnqueueRolloutRequest, Store
from agl_core.testing import Refusal, ScriptedModel


@pytest.fixture
def store():
    """A store over a log of its own."""
    with SqliteLog(":memory:", projections=CORE) as log:
        store = Store(log)
        yield store
        store.close()


def settle(store, agent, *, task: object = None, resources: Mapping[str, object] | None = None, **config):
    """Run the agent once, from the queue; the rollout as the store has it afterwards."""

    async def story():
        gateway = Gateway(Recorder(store.log), store.ask)
        base = await gateway.start()
        if isinstance(model := (resources or {}).get("model"), ScriptedModel):
            gateway.register(model.endpoint)
            await store.add_resources({"llm": ProxyLLM(f"{GATEWAY}/v1", model.endpoint.model)})
        elif resources:
            await store.add_resources(resources)
        (rollout,) = await store.enqueue_many_rollouts(
            [EnqueueRolloutRequest(input=task or {"q": 1}, config=agl.RolloutConfig(**config))]
        )
        runner = Runner(gateway=base)
        with runner.run_context(agent=agent, store=store):
            work = asyncio.ensure_future(runner.iter())
            await store.wait([rollout.rollout_id])
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        await gateway.stop()
        return store.ask.rollout(rollout.rollout_id)

    return asyncio.run(story())


def test_an_agent_that_returns_a_number_has_completed(store):
    """The number is its reward."""

    @agl.rollout
    async def agent(task) -> float:
        return 0.5

    rollout = settle(store, agent)

    assert (rollout.status, rollout.exit_status) == ("succeeded", "completed")
    assert store.ask.outcomes([rollout.rollout_id])[0].reward == 0.5


def test_named_rewards_are_all_kept_and_the_primary_one_trains(store):
    """A dict of one needs no primary key; a dict with `primary` has one."""

    @agl.rollout
    def agent(task):
        return {"style": 0.1, "primary": 1.0}

    rollout = settle(store, agent)

    rewards = {(r.given.name, r.given.value) for r in store.ask.traces([rollout.rollout_id])[0].rewards}
    assert rewards == {("primary", 1.0), ("style", 0.1)}
    assert store.ask.outcomes([rollout.rollout_id])[0].reward == 1.0


def test_an_agent_that_raises_says_what_and_where(store):
    """Status failed, exit status agent_raised, the error with its place; retried as often as allowed."""

    @agl.rollout
    async def agent(task):
        raise ValueError("no such tool")

    rollout = settle(store, agent, max_attempts=2)

    assert (rollout.status, rollout.exit_status, rollout.attempts) == ("failed", "agent_raised", 2)
    assert all("ValueError: no such tool at " in (a.error or "") for a in store.ask.attempts(rollout.rollout_id))


def test_the_place_of_an_error_is_the_agents_own(store):
    """What a library raises, it raises at the same line for many mistakes; the agent's line is where one was made."""

    @agl.rollout
    async def agent(task):
        return json.loads("no JSON")

    rollout = settle(store, agent, max_attempts=1)

    (attempt,) = store.ask.attempts(rollout.rollout_id)
    assert f" at {__file__}:" in attempt.error


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_an_agent_that_hangs_is_timed_out(store, is_async):
    """The worker is free again at once, even when a thread cannot be killed."""
    let_go = threading.Event()

    @agl.rollout
    async def hangs(task):
        await asyncio.Event().wait()

    @agl.rollout
    def blocks(task):
        let_go.wait()

    rollout = settle(store, hangs if is_async else blocks, timeout_seconds=0.2)
    let_go.set()

    assert (rollout.status, rollout.exit_status) == ("failed", "timeout")
    assert store.ask.attempts(rollout.rollout_id)[0].end_time is not None


def test_an_agent_that_was_left_behind_may_fail_unheard(store, caplog):
    """It is over for everybody else: asyncio is not to complain of what nobody waits for."""
    gate, over = threading.Event(), threading.Event()

    @agl.rollout
    def late(task):
        gate.wait(30)
        over.set()
        raise ValueError("too late")

    async def story():
        runner = Runner()
        with runner.run_context(agent=late, store=store):
            rollout = await store.start_rollout({"q": 1}, config=agl.RolloutConfig(timeout_seconds=0.01))
            await runner.run(rollout)
            gate.set()
            await asyncio.to_thread(over.wait, 30)
            await asyncio.to_thread(lambda: [one.join() for one in threading.enumerate() if one.name == "agl-agent"])

    asyncio.run(story())
    gc.collect()

    assert "never retrieved" not in caplog.text


def test_nan_is_no_reward(store):
    """It is refused at the door: the attempt fails with the code, and nothing is half-written."""

    @agl.rollout
    async def agent(task) -> float:
        return float("nan")

    rollout = settle(store, agent)

    assert rollout.exit_status == "agent_raised"
    assert "[BAD_VALUE]" in store.ask.attempts(rollout.rollout_id)[0].error
    assert not store.ask.traces([rollout.rollout_id])[0].rewards


def test_what_is_emitted_belongs_to_the_attempt_under_way(store):
    """Across threads that carry context; all of it has landed before the attempt is settled."""

    @agl.rollout
    async def agent(task) -> None:
        with agl.agent("writer"):
            agl.emit_message("hello")
            await asyncio.to_thread(agl.emit_object, {"a": 1})
        agl.emit_reward({"quality": 0.25}, attributes={"by": "hand"})

    rollout = settle(store, agent)

    (trace,) = store.ask.traces([rollout.rollout_id])
    assert [(span.name, span.agent) for span in trace.spans] == [
        ("agentlightning.message", "writer"),
        ("agentlightning.object", "writer"),
    ]
    assert store.ask.outcomes([rollout.rollout_id])[0].reward == 0.25


def test_operations_tell_arguments_results_and_exceptions(store):
    """As a decorator, sync and async, and as a context manager."""

    @agl.operation
    def double(x):
        return x * 2

    @agl.operation(name="fails")
    async def fails():
        raise KeyError("k")

    @agl.rollout
    async def agent(task) -> None:
        double(21)
        with pytest.raises(KeyError):
            await fails()
        with agl.operation(name="block"):
            pass

    rollout = settle(store, agent)

    (trace,) = store.ask.traces([rollout.rollout_id])
    assert [span.status for span in trace.spans] == ["ok", "error", "ok"]
    assert trace.spans[0].attributes["agentlightning.operation.output"] == 42
    assert trace.spans[1].attributes["exception.type"] == "KeyError"


def test_emitting_outside_an_attempt_is_an_error_of_ours():
    """Silently dropping it would be a lie; `propagate=False` builds it without sending."""
    with pytest.raises(OutsideAttempt):
        agl.emit_reward(1.0)

    assert agl.get_reward_value(agl.emit_reward(1.0, propagate=False)) == 1.0
    with pytest.raises(BadValue):
        agl.emit_reward({"a": 1.0, "b": 2.0}, propagate=False)


def test_an_overlong_prompt_is_the_policy_s_own_end(store):
    """The engine's 400 becomes `prompt_too_long`, which is never retried."""
    refusal = Refusal(status=400, code="context_length_exceeded")

    with ScriptedModel(refusal) as model:
        rollout = settle(store, asks, resources={"model": model}, max_attempts=3)

    assert (rollout.exit_status, rollout.attempts) == ("prompt_too_long", 1)


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(
    ("exit_status", "status", "attempts"),
    [
        ("gave_up", "succeeded", 1),
        ("max_turns", "succeeded", 1),
        ("prompt_too_long", "failed", 1),
        ("tool_failed", "failed", 3),
    ],
)
def test_an_agent_says_how_it_ended(store, exit_status, status, attempts, is_async):
    """A policy's own end is final and keeps its reward; an environment's is tried again, and its reward is kept too."""

    def ends(task) -> float:
        raise agl.EndAttempt(exit_status, "ten turns", result=0.25)

    async def ends_async(task) -> float:
        ends(task)

    rollout = settle(store, agl.rollout(ends_async if is_async else ends), max_attempts=3)

    assert (rollout.status, rollout.exit_status, rollout.attempts) == (status, exit_status, attempts)
    assert store.ask.outcomes([rollout.rollout_id])[0].reward == 0.25
    assert {attempt.error for attempt in store.ask.attempts(rollout.rollout_id)} == {"ten turns"}


def test_an_agent_cannot_say_what_others_say(store):
    """A lease that was lost is nothing it knows of: that is a mistake in the agent, and told as one."""

    @agl.rollout
    def ends(task) -> float:
        raise agl.EndAttempt("worker_lost")

    rollout = settle(store, ends)

    (attempt,) = store.ask.attempts(rollout.rollout_id)
    assert rollout.exit_status == "agent_raised"
    assert "an agent may say gave_up, max_turns, prompt_too_long, tool_failed" in attempt.error


def test_a_model_that_is_down_is_infrastructure(store):
    """`endpoint_down` is retried as often as allowed."""
    with ScriptedModel("never heard") as model:
        endpoint = model.endpoint
    model.stop()
    gone = type("Gone", (ScriptedModel,), {"endpoint": endpoint})("x")

    rollout = settle(store, asks, resources={"model": gone}, max_attempts=2)

    assert (rollout.status, rollout.exit_status, rollout.attempts) == ("failed", "endpoint_down", 2)


@agl.rollout
async def asks(task, llm) -> float:
    """A minimal agent without any SDK."""
    async with httpx.AsyncClient(base_url=llm.endpoint, headers={"authorization": f"Bearer {llm.api_key}"}) as http:
        reply = await http.post(
            "/chat/completions", json={"model": llm.model, "messages": [{"role": "user", "content": "hi"}]}
        )
        reply.raise_for_status()
    return 1.0


def test_a_worker_that_stops_gives_its_rollout_back(store):
    """A cancelled task is not a success (Agent Lightning marks it one): the rollout waits for the next worker."""
    entered = asyncio.Event()

    @agl.rollout
    async def agent(task):
        entered.set()
        await asyncio.Event().wait()

    async def story():
        await store.enqueue_rollout({"q": 1})
        runner = Runner()
        with runner.run_context(agent=agent, store=store):
            work = asyncio.ensure_future(runner.iter())
            await entered.wait()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    asyncio.run(story())

    (rollout,) = store.ask.rollouts()
    assert (rollout.status, rollout.attempts) == ("requeuing", 1)


def test_step_runs_one_task_and_raises_what_the_agent_raises(store):
    """With resources of its own; the failure is recorded before it is raised."""

    @agl.rollout
    async def agent(task, prompt_template) -> float:
        if task["bad"]:
            raise RuntimeError("bad task")
        return float(len(prompt_template.format(name=task["name"])))

    async def story():
        runner = Runner()
        with runner.run_context(agent=agent, store=store):
            good = await runner.step(
                {"bad": False, "name": "Ada"}, resources={"prompt": PromptTemplate("Hello {name}", "f-string")}
            )
            with pytest.raises(RuntimeError, match="bad task"):
                await runner.step({"bad": True}, mode="val")
        return good

    good = asyncio.run(story())

    assert store.ask.outcomes([good.rollout_id])[0].reward == 9.0
    assert [rollout.exit_status for rollout in store.ask.rollouts()] == ["completed", "agent_raised"]


def test_resources_are_found_by_name_then_by_type(store):
    """A parameter names its resource; a type that two have decides nothing."""

    @agl.rollout
    async def agent(task, llm, critic: LLM) -> float:
        return float(llm.model == "a" and critic.model == "b")

    @agl.rollout
    async def unsure(task, llm) -> float:
        return 1.0

    both = {"critic": LLM("http://127.0.0.1/v1", "b"), "llm": LLM("http://127.0.0.1/v1", "a")}
    two = {"one": both["critic"], "two": both["llm"]}

    named = settle(store, agent, resources=both)
    ambiguous = settle(store, unsure, resources=two)

    assert store.ask.outcomes([named.rollout_id])[0].reward == 1.0
    assert UnknownName.code in store.ask.attempts(ambiguous.rollout_id)[0].error


def test_hooks_are_guests(store):
    """All four are awaited, in order; what one raises changes nothing."""
    heard = []

    class Listens(Hook):
        async def on_rollout_start(self, **_):
            heard.append("start")
            raise RuntimeError("a hook's own fault")

        async def on_trace_start(self, **_):
            heard.append("trace-start")

        def on_trace_end(self, **_):
            heard.append("trace-end")

        async def on_rollout_end(self, *, spans, **_):
            heard.append(f"end-{len(spans)}")

    @agl.rollout
    async def agent(task) -> float:
        agl.emit_message("x")
        return 1.0

    async def story():
        runner = Runner()
        with runner.run_context(agent=agent, store=store, hooks=[Listens()]):
            await runner.step({"q": 1})

    asyncio.run(story())

    assert heard == ["start", "trace-start", "trace-end", "end-2"]
    assert store.ask.rollouts()[0].exit_status == "completed"


def test_a_provider_s_key_reaches_the_agent_and_never_the_log(store):
    """Keys live in the process that has them."""
    seen = []

    @agl.rollout
    async def agent(task, llm) -> float:
        seen.append(llm.api_key)
        return 1.0

    settle(store, agent, resources={"llm": LLM("http://127.0.0.1:9/v1", "m", api_key="sk-very-secret")})

    assert seen == ["sk-very-secret"]
    assert b"sk-very-secret" not in store.log.path.read_bytes()
