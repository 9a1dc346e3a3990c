"""Who asked, and what for, stands in the log, whichever way the call went."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import agl_core as agl
from agl_core.events import CallRecorded
from agl_core.testing import ScriptedModel

TASK = {"q": 1}


def said(text: str) -> dict[str, Any]:
    """What a user says."""
    return {"role": "user", "content": text}


async def ask(llm: agl.LLM, *turns: dict[str, Any], **headers: str) -> dict[str, Any]:
    """The model's answer, as the message that goes back into the chat."""
    key = {"authorization": f"Bearer {llm.api_key}"}
    async with httpx.AsyncClient(base_url=llm.endpoint, headers=key, timeout=30) as http:
        body = {"model": llm.model, "messages": list(turns)}
        reply = await http.post("/chat/completions", json=body, headers=headers)
        reply.raise_for_status()
        message: dict[str, Any] = reply.json()["choices"][0]["message"]
        return message


def ask_sync(llm: agl.LLM, text: str, **headers: str) -> None:
    """The same, from a thread."""
    key = {"authorization": f"Bearer {llm.api_key}"}
    with httpx.Client(base_url=llm.endpoint, headers=key, timeout=30) as http:
        http.post("/chat/completions", json={"model": llm.model, "messages": [said(text)]}, headers=headers)


Way = Callable[[agl.LLM], agl.LLM]


@pytest.fixture(params=["gateway", "tap"])
def way(request: pytest.FixtureRequest) -> Way:
    """Through the gateway, or past it: then the tap sees the call leave."""
    if request.param == "gateway":
        return lambda llm: llm
    direct: agl.LLM = request.getfixturevalue("direct")
    return lambda _llm: direct


@pytest.fixture
def model():
    """One that answers what it was asked last, with token ids as vLLM has them."""
    with ScriptedModel(lambda asked: f"re: {asked.last}", owner="vllm") as model:
        yield model


@pytest.fixture
def direct(model: ScriptedModel) -> agl.LLM:
    """The model at its own address."""
    return agl.LLM(endpoint=model.url, model="policy", api_key="none")


def calls(path: Path, model: ScriptedModel, agent: Any) -> list[CallRecorded]:
    """Of one rollout under a trainer, in the order they were recorded."""
    store = str(path / "run.db")
    agl.Trainer(store=store, models={"policy": f"{model.url}#policy"}).fit(agent, train_dataset=[TASK])
    with agl.open_log(store, readonly=True) as log:
        return [record.event for record in log.read(types=["call.recorded"])]


def test_tasks_threads_and_generators_keep_their_names(tmp_path, model, way):
    """In one attempt at once; the call of no named agent has none."""

    @agl.agent("reader")
    async def pages(llm):
        for page in ("page 1", "page 2"):
            await ask(llm, said(page))
            yield page

    @agl.agent("filer")
    def files(llm):
        ask_sync(llm, "file")

    @agl.agent("writer")
    async def writes(llm):
        await ask(llm, said("write"))

    @agl.rollout
    async def solve(task, llm) -> float:
        llm = way(llm)

        async def reads():
            async for page in pages(llm):
                await ask(llm, said(f"about {page}"))

        await asyncio.gather(reads(), writes(llm), asyncio.to_thread(files, llm))
        with agl.agent("planner"):
            await ask(llm, said("plan"))
        return 1.0

    found = {call.call.messages[-1].content: call.agent for call in calls(tmp_path, model, solve)}

    assert found == {
        "page 1": "reader", "about page 1": None, "page 2": "reader", "about page 2": None,
        "write": "writer", "file": "filer", "plan": "planner",
    }  # fmt: skip


def test_a_call_says_where_in_the_program_it_was_asked(tmp_path, model, way):
    """Branches that ask the same, in an order that is chance, each have their own place in the log."""

    @agl.rollout
    async def solve(task, llm) -> float:
        async def branch(number):
            await asyncio.sleep((2 - number) / 100)
            for text in ("the same", f"of {number}"):
                await ask(way(llm), said(text))

        await asyncio.gather(*map(branch, range(3)))
        await ask(way(llm), said("all"))
        await asyncio.to_thread(ask_sync, way(llm), "beside")
        return 1.0

    found = [(call.call.messages[-1].content, call.place) for call in calls(tmp_path, model, solve)]

    assert sorted(place for text, place in found if text == "the same") == [f"branch{n}:0" for n in range(3)]
    rest = {text: place for text, place in found if text != "the same"}
    assert rest == {**{f"of {n}": f"branch{n}:1" for n in range(3)}, "all": ":0", "beside": "ask_sync0:0"}


def test_a_call_says_which_call_it_was_made_for(tmp_path, model, way):
    """A sub-agent's calls name the call of the agent that began it; its own later ones too."""

    @agl.rollout
    async def solve(task, llm) -> float:
        llm = way(llm)
        with agl.agent("planner"):
            await ask(llm, said("plan"))
            for who in ("writer", "critic"):
                with agl.agent(who):
                    await ask(llm, said(f"{who} 1"))
                    await ask(llm, said(f"{who} 2"))
        return 1.0

    plan, *others = calls(tmp_path, model, solve)

    assert (plan.agent, plan.parent_call_id) == ("planner", None)
    assert [(call.agent, call.parent_call_id) for call in others] == [
        ("writer", plan.call_id), ("writer", plan.call_id), ("critic", plan.call_id), ("critic", plan.call_id)
    ]  # fmt: skip


def test_a_program_that_is_followed_works_for_the_agent_that_started_it(tmp_path, model, direct):
    """Its calls have the name, and the call that led to it; an agent within it works for the program's own."""
    (tmp_path / "program.py").write_text(
        """
import os, httpx
import agl_core as agl

def ask(words):
    body = {"model": "policy", "messages": [{"role": "user", "content": words}]}
    httpx.post(os.environ["PROVIDER"] + "/chat/completions", json=body).raise_for_status()

ask("write")
with agl.agent("critic"):
    ask("criticise")
"""
    )

    @agl.rollout
    async def solve(task) -> float:
        with agl.agent("planner"):
            await ask(direct, said("plan"))
            with agl.agent("writer"):
                environment = {**os.environ, "PROVIDER": model.url, **agl.environment(None, task)}
                command = [sys.executable, "-m", "agl_core.tap", "program.py"]
                await asyncio.to_thread(subprocess.run, command, env=environment, cwd=tmp_path, check=True)
        return 1.0

    plan, write, criticise = calls(tmp_path, model, solve)

    assert [(call.agent, call.parent_call_id) for call in (plan, write, criticise)] == [
        ("planner", None), ("writer", plan.call_id), ("critic", write.call_id)
    ]  # fmt: skip


def test_headers_of_the_agent_s_own_are_believed(tmp_path, model):
    """A thread without context has no other way; where there is a context, the header goes before it."""

    @agl.rollout
    async def solve(task, llm) -> float:
        loop = asyncio.get_running_loop()
        names = {"AGL-Agent": "stray", "AGL-Parent-Call": "ca-of-somebody"}
        await loop.run_in_executor(None, lambda: ask_sync(llm, "from a thread", **names))
        await loop.run_in_executor(None, ask_sync, llm, "unnamed")
        with agl.agent("context"):
            await ask(llm, said("both"), **{"AGL-Agent": "header"})
        return 1.0

    stray, unnamed, both = calls(tmp_path, model, solve)

    assert (stray.agent, stray.parent_call_id) == ("stray", "ca-of-somebody")
    assert (unnamed.agent, both.agent) == (None, "header")


def test_a_name_in_any_script_arrives(tmp_path, model, way):
    """Headers are bytes; names are not ASCII everywhere."""

    @agl.rollout
    async def solve(task, llm) -> float:
        with agl.agent("研究员 é"):
            await ask(way(llm), said("hello"))
        return 1.0

    (call,) = calls(tmp_path, model, solve)

    assert call.agent == "研究员 é"


def test_no_header_of_ours_reaches_a_model(tmp_path, model, way):
    """Neither past the gateway nor through it."""

    @agl.rollout
    async def solve(task, llm) -> float:
        with agl.agent("planner"):
            await ask(way(llm), said("plan"))
            with agl.agent("writer"):
                await ask(way(llm), said("write"))
        return 1.0

    calls(tmp_path, model, solve)

    sent = {name.lower() for asked in model.requests for name in asked.headers}
    assert not {name for name in sent if name.startswith("agl-")}


def test_a_parent_and_a_sub_agent_that_take_turns_are_two_rows(tmp_path, model):
    """Their turns interleave in one attempt, and each conversation is one trajectory."""
    pytest.importorskip("agl_triplets")
    batches = []

    @agl.rollout
    async def solve(task, llm) -> float:
        chats: dict[str, list[dict[str, Any]]] = {"planner": [], "writer": []}

        async def speaks(who: str, text: str) -> None:
            chats[who].append(said(text))
            chats[who].append(await ask(llm, *chats[who]))

        with agl.agent("planner"):
            for turn in ("one", "two"):
                await speaks("planner", f"plan {turn}")
                with agl.agent("writer"):
                    await speaks("writer", f"write {turn}")
        return 1.0

    class Look:
        name = "look"

        async def run(self, run: agl.Run) -> None:
            outcomes = await run.rollouts(run.train)
            batches.append(run.adapt(outcomes, "triplets", min_group=1))

    store = str(tmp_path / "run.db")
    trainer = agl.Trainer(algorithm=Look(), store=store, models={"policy": f"{model.url}#policy"})
    trainer.fit(solve, train_dataset=[TASK])

    (batch,) = batches
    with agl.open_log(store, readonly=True) as log:
        agents = {record.event.call_id: record.event.agent for record in log.read(types=["call.recorded"])}
    assert [[agents[call] for call in row.call_ids] for row in batch.rows] == [["planner"] * 2, ["writer"] * 2]
    assert (batch.captured, batch.kept) == (4, 4)


def test_each_agent_has_models_and_prompts_of_its_own(tmp_path: Path):
    """The log says who asked which model, and which version of the prompts the rollout was given."""

    @agl.rollout
    async def team(task: dict[str, Any], plans: agl.LLM, works: agl.LLM, plan_prompt: agl.PromptTemplate) -> float:
        with agl.agent("planner"):
            plan = await ask(plans, said(plan_prompt.format(q=task["q"])))
        with agl.agent("worker"):
            await ask(works, said(str(plan["content"])))
        return 1.0

    store = str(tmp_path / "run.db")
    with (
        ScriptedModel(lambda asked: f"plan of {asked.last}", model="large") as large,
        ScriptedModel(lambda asked: f"done: {asked.last}", model="small") as small,
    ):
        resources = {
            "plans": agl.LLM(endpoint=large.url, model="large"),
            "works": agl.LLM(endpoint=small.url, model="small"),
            "plan_prompt": agl.PromptTemplate(template="Plan {q}.", engine="f-string"),
        }
        agl.Trainer(store=store, initial_resources=resources).fit(team, train_dataset=[TASK])

    with agl.open_log(store, readonly=True) as log:
        asked = [record.event for record in log.read(types=["call.recorded"])]
        (pinned,) = [record.event for record in log.read(types=["rollout.enqueued"])]
        (published,) = [record.event for record in log.read(types=["resources.published"])]
    assert [(call.agent, call.call.model, call.call.messages[-1].content) for call in asked] == [
        ("planner", "large", "Plan 1."),
        ("worker", "small", "plan of Plan 1."),
    ]
    assert (pinned.resources_id, pinned.resources_version) == (published.resources_id, published.version)
    assert published.resources.keys() == resources.keys()
