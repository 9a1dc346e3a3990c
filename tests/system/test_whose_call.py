"""A call is stored once, for whoever made it, tracer or not: items of T3 and T4 of the users' pains."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter

import httpx
import pytest

import agl_core as agl
from agl_core.hookspecs import hookimpl
from agl_core.plugins import Plugins
from agl_core.testing import ScriptedModel

# --- T4.6: calls come from the wire, so a tracer that is lost costs structure, and never a sample


def test_t4_6_a_tracer_that_cannot_attach_costs_no_call(tmp_path):
    """A framework's new version broke it; the run goes on, and every call is there, with its tokens."""

    class Outdated:
        @hookimpl
        def agl_install_tracer(self):
            """Looks for what is no more."""
            raise AttributeError("module 'framework' has no attribute 'Agent'")

    @agl.rollout
    async def agent(task, llm):
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {llm.api_key}"}) as client:
            await client.post(f"{llm.endpoint}/chat/completions", json=asked({"n": task}, 0))
        return 1.0

    plugins, path = Plugins.load(), str(tmp_path / "log.db")
    plugins.register(Outdated(), name="outdated")
    with ScriptedModel("four", owner="vllm") as model:
        models = {"policy": f"{model.url}#policy"}
        agl.Trainer(store=path, plugins=plugins, models=models, on_tracer_error="warn").fit(agent, [1, 2, 3])

    with agl.open_log(path, readonly=True) as log:
        calls = [record.event for record in log.read(types=["call.recorded"])]
        failed = [record.event.name for record in log.read(types=["plugin.failed"])]
    assert len(calls) == 3
    assert all(call.call.choices[0].token_ids for call in calls)
    assert "outdated" in failed


# --- T3.2: a call is stored once, whoever saw it, and never by its content


def test_t3_2_eight_identical_parallel_prompts_through_every_layer_are_eight_calls(tmp_path):
    """The SDK under its plugin, the tap and the gateway all see each of them; it is one fact."""
    openai = pytest.importorskip("openai")

    @agl.rollout
    async def agent(task, llm):
        client = openai.AsyncOpenAI(base_url=llm.endpoint, api_key=llm.api_key)
        asked = {"model": llm.model, "messages": [{"role": "user", "content": "the same"}]}
        await asyncio.gather(*(client.chat.completions.create(**asked) for _ in range(8)))
        await client.close()
        return 1.0

    path = str(tmp_path / "log.db")
    with ScriptedModel("four") as model:
        agl.Trainer(store=path, models={"policy": f"{model.url}#policy"}).fit(agent, [1])
        asked = len(model.requests)

    with agl.open_log(path, readonly=True) as log:
        calls = [record.event for record in log.read(types=["call.recorded"])]
    assert asked == len(calls) == len({call.call_id for call in calls}) == 8


# --- T3.1, T4.5: whose work it is follows from the context, in tasks and in threads, in one run and in two at once


def test_t4_5_two_runs_in_one_process_never_mix(tmp_path):
    """Sixty rollouts, in tasks and in threads, under one tap: each fact is in the log, and the attempt, of its own."""
    with ScriptedModel(lambda asked: asked.last) as model:
        url = f"{model.url}/chat/completions"

        @agl.rollout
        def in_threads(task):
            with agl.agent(f"agent of {task}"), httpx.Client(timeout=60) as client:
                for turn in range(2):
                    client.post(url, json=asked(task, turn))
            agl.emit_reward(task["n"] / 100)

        @agl.rollout
        async def in_tasks(task):
            async def ask(turn):
                await client.post(url, json=asked(task, turn))

            async with httpx.AsyncClient(timeout=60) as client:
                with agl.agent(f"agent of {task}"):
                    await asyncio.gather(ask(0), asyncio.create_task(ask(1)))
            agl.emit_reward(task["n"] / 100)

        def fit(name, agent):
            tasks = [{"run": name, "n": n} for n in range(30)]
            agl.Trainer(store=str(tmp_path / f"{name}.db"), n_runners=6).fit(agent, tasks)

        jobs = [threading.Thread(target=fit, args=pair) for pair in (("threads", in_threads), ("tasks", in_tasks))]
        for job in jobs:
            job.start()
        for job in jobs:
            job.join()

    for name in ("threads", "tasks"):
        check(tmp_path / f"{name}.db", name)


def asked(task, turn):
    """A request that says whose it is."""
    said = json.dumps({**task, "turn": turn}, sort_keys=True)
    return {"model": "policy", "messages": [{"role": "user", "content": said}]}


def check(path, name):
    """Each rollout has its own two calls, by its own agent, and its own reward."""
    with agl.open_log(str(path), readonly=True) as log:
        tasks = {record.event.rollout_id: record.event.input for record in log.read(types=["rollout.enqueued"])}
        calls = [record.event for record in log.read(types=["call.recorded"])]
        rewards = [record.event for record in log.read(types=["reward.given"])]
    assert len(tasks) == 30
    assert Counter(call.rollout_id for call in calls) == dict.fromkeys(tasks, 2)
    for call in calls:
        said = json.loads(call.call.messages[-1].content)
        assert said.pop("turn") in {0, 1}
        assert said == tasks[call.rollout_id] == {"run": name, "n": said["n"]}
        assert call.agent == f"agent of {tasks[call.rollout_id]}"
    assert {reward.rollout_id: reward.value for reward in rewards} == {
        id_: task["n"] / 100 for id_, task in tasks.items()
    }
