"""A trainer that learns from selected calls alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
import pytest

import agl_core as agl
from agl_core.adapter import Adapted
from agl_core.errors import BadValue, SelectsNothing
from agl_core.events import BatchFormed, RunStarted
from agl_core.testing import ScriptedModel


class Ids:
    """An adapter whose rows are the ids of policy calls."""

    name = "ids"

    def __call__(self, traces: Any) -> Adapted[str]:
        """All of them."""
        rows = tuple(call.call_id for trace in traces for call in trace.calls if call.role == "policy")
        return Adapted(rows=rows, kept=len(rows))


class Looks:
    """An algorithm that makes a batch of each round."""

    name = "looks"

    def __init__(self) -> None:
        self.batches: list[Adapted[str]] = []
        self.dies_after: int | None = None

    async def run(self, run: agl.Run) -> None:
        """A round for each task."""
        for number, task in enumerate(run.train):
            outcomes = await run.rollouts([task], label=f"round-{number}")
            self.batches.append(run.adapt(outcomes, Ids()))
            if len(self.batches) == self.dies_after:
                raise RuntimeError("killed")


@agl.rollout
def team(task, llm) -> float:
    """Each of the agents that the task names asks once; then nobody in particular does."""
    with httpx.Client(base_url=llm.endpoint, headers={"authorization": f"Bearer {llm.api_key}"}) as http:
        body = {"model": llm.model, "messages": [{"role": "user", "content": "hello"}]}
        for name in task["agents"]:
            with agl.agent(name):
                http.post("/chat/completions", json=body).raise_for_status()
        http.post("/chat/completions", json=body).raise_for_status()
    return 1.0


@pytest.fixture
def model():
    """Says the same to everybody."""
    with ScriptedModel("hello") as model:
        yield model


def fit(tmp_path, model, tasks, **options):
    """The batches of a run, and what the log says of them."""
    algorithm, store = Looks(), str(tmp_path / "run.db")
    trainer = agl.Trainer(algorithm=algorithm, models={"policy": f"{model.url}#policy"}, store=store, **options)
    try:
        trainer.fit(team, train_dataset=[{"agents": agents} for agents in tasks])
    finally:
        with agl.open_log(store, readonly=True) as log:
            facts = [record.event for record in log.read(types=["batch.formed", "run.started"])]
    return algorithm.batches, facts


def test_a_batch_says_what_was_not_selected(tmp_path, model):
    """Kept and dropped are all that was captured; the run remembers what it was told."""
    (batch,), (started, formed) = fit(tmp_path, model, [["writer", "critic"]], select={"agent": "writer"})

    assert (batch.captured, batch.kept, len(batch.rows)) == (3, 1, 1)
    assert Counter(one.reason for one in batch.dropped) == {"other_agent": 2}
    assert isinstance(formed, BatchFormed)
    assert (formed.captured, formed.kept, formed.dropped) == (3, 1, {"other_agent": 2})
    assert isinstance(started, RunStarted)
    assert started.config.select == {"agent": ("writer",)}


def test_a_run_whose_calls_are_never_selected_is_stopped(tmp_path, model):
    """With the agents that there are: a name that is mistyped would learn nothing for hours."""
    with pytest.raises(SelectsNothing, match=r"agent=writers keeps none of 2 .*no named agent \(1\), writer \(1\)"):
        fit(tmp_path, model, [["writer"]], select={"agent": "writers"})


def test_a_batch_may_be_without_the_agent_that_others_had(tmp_path, model):
    """It is not always asked for."""
    batches, _ = fit(tmp_path, model, [["critic"], []], select={"agent": "critic"})

    assert [(batch.kept, batch.captured) for batch in batches] == [(1, 2), (0, 1)]


def test_a_run_that_is_resumed_selects_the_same(tmp_path, model):
    """Whatever it is told then: its batches must be what they were."""
    store, first, again = str(tmp_path / "run.db"), Looks(), Looks()
    options = {"models": {"policy": f"{model.url}#policy"}, "store": store}
    tasks = [{"agents": ["writer"]}, {"agents": ["writer", "critic"]}]
    first.dies_after = 1

    with pytest.raises(RuntimeError, match="killed"):
        agl.Trainer(algorithm=first, select={"agent": "writer"}, **options).fit(team, tasks)
    with agl.open_log(store, readonly=True) as log:
        (run_id,) = [record.event.run_id for record in log.read(types=["run.started"])]
    agl.Trainer(algorithm=again, **options).fit(team, resume=run_id)

    assert [(batch.kept, batch.captured) for batch in again.batches] == [(1, 2), (1, 3)]


def test_an_algorithm_that_would_not_keep_to_it_is_refused(tmp_path):
    """Those of v0.3 ask the store for spans, and make their rows themselves."""

    @agl.algo
    async def old(*, store: Any, train_dataset: Any) -> None:
        raise AssertionError

    with pytest.raises(BadValue, match="would not keep to it"):
        agl.Trainer(algorithm=old, select={"agent": "writer"}, store=str(tmp_path / "run.db")).fit(team, [1])
