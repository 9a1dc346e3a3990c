"""Several policies in one run, and one agent of many: each learns from its own calls, and from no other."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from agl_grpo import Grpo, GrpoConfig

import agl_core as agl
from agl_core.errors import BadValue
from agl_core.events import BatchFormed, CallRecorded, PolicyUpdated, StepRecorded
from agl_core.testing import AlgorithmContract

from ._speaking import ask, speaking

SMALL = {"tasks_per_step": 2, "group_size": 2, "max_tokens": 4, "learning_rate": 1e-3, "device": "cpu"}
TEAM = {"planner": {}, "solver": {"learning_rate": 1e-2, "checkpoint_every": 1}}

needs_a_model = pytest.mark.skipif(
    not all(map(find_spec, ("torch", "transformers", "tokenizers", "agl_transformers", "agl_triplets", "agl_rewards"))),
    reason="a real model is asked",
)


@agl.rollout
async def team(task, planner, solver, rollout):
    """One plans, another solves, and the planner looks once more."""
    plan = await ask(planner, task["letter"])
    await ask(solver, plan[:4])
    await ask(planner, plan[:2])
    return float(rollout.repeat)


@agl.rollout
async def shifts(task, planner, solver, rollout):
    """Whose turn it is, the task says: one call each, so that a budget ends none of them half-way."""
    await ask(planner if task["letter"] in "ace" else solver, task["letter"])
    return float(rollout.repeat)


@agl.rollout
async def pair(task, policy, rollout):
    """Two agents of one model."""
    said = await ask(policy, task["letter"], agent="writer")
    await ask(policy, said[:4], agent="critic")
    return float(rollout.repeat)


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Two models."""
    return {name: speaking(tmp_path_factory.mktemp(name), seed=seed) for seed, name in enumerate(TEAM)}


@pytest.fixture
def fit(tmp_path, monkeypatch):
    """A run over four letters; the events of a kind that its log has."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "transformers,triplets,rewards")
    path = tmp_path / "log.db"

    def fitted(agent, config, *models, **options):
        urls = {
            name: f"transformers:{speaking(tmp_path / name, seed=seed)}?threads=1" for seed, name in enumerate(models)
        }
        trainer = agl.Trainer(
            algorithm=Grpo(**{**SMALL, **config}), models=urls, store=str(path), seed=7, n_runners=4, preflight=False,
            **options,
        )  # fmt: skip
        trainer.fit(agent, [{"letter": letter} for letter in "abcd"], test_dataset=[{"letter": "e"}])

        def facts(kind):
            with agl.open_log(str(path), readonly=True) as log:
                return [(record.key, record.event) for record in log.read(types=[kind.type])]

        return facts, path

    return fitted


@pytest.mark.slow
@needs_a_model
def test_two_policies_learn_each_from_its_own_calls(fit):
    """Both change; the batches of one have the other's calls among the dropped, and nothing is lost."""
    facts, path = fit(team, {"steps": 2, "policies": TEAM}, "planner", "solver")

    batches = [batch for _, batch in facts(BatchFormed)]
    calls = [call.call.model for _, call in facts(CallRecorded)]
    updated = [(one.policy, one.version) for _, one in facts(PolicyUpdated)]
    assert [batch.options["model"] for batch in batches] == ["planner", "solver"] * 2
    assert [(batch.captured, batch.kept, batch.dropped) for batch in batches] == [
        (12, 8, {"other_model": 4}), (12, 4, {"other_model": 8}),
    ] * 2  # fmt: skip
    assert calls.count("planner") == 2 * calls.count("solver")
    assert updated[:4] == [("planner", 1), ("solver", 1), ("planner", 2), ("solver", 2)]
    with agl.open_log(str(path), readonly=True) as log:
        names = {name for (name,) in log.rows("select distinct name from metrics")}
    assert {"planner/policy/kl", "solver/policy/kl", "planner/calls/kept", "solver/train/rows", "reward/mean"} <= names
    assert "policy/kl" not in names


@pytest.mark.slow
@needs_a_model
def test_a_policy_comes_out_as_if_only_its_own_calls_had_been_there(fit):
    """What the planner was trained on is what it said: its update is asked for under its own name, with its rows."""
    facts, _ = fit(team, {"steps": 1, "policies": TEAM}, "planner", "solver")

    updates = {key.split("/")[1]: step for key, step in facts(StepRecorded) if step.label == "update"}
    checkpoints = {scope: step.result["checkpoint"] for scope, step in updates.items()}
    batches = {batch.options["model"]: batch for _, batch in facts(BatchFormed)}
    assert updates.keys() == {"main.planner", "main.solver"}
    assert len(set(checkpoints.values())) == 2
    for name, batch in batches.items():
        # Its two calls to a prompt that grows are rows of their own, or one: either way it is told how many.
        assert updates[f"main.{name}"].result["result"]["train/rows"] == batch.rows > 0
        assert (batch.options["model"], batch.captured - batch.kept) == (name, batch.dropped["other_model"])


@pytest.mark.slow
@needs_a_model
def test_one_selected_agent_of_many_is_trained(fit):
    """The calls of the others are in the log, and dropped for that."""
    facts, path = fit(pair, {"steps": 2, "agent": "critic"}, "policy")

    assert [(batch.kept, batch.dropped) for _, batch in facts(BatchFormed)] == [(4, {"other_agent": 4})] * 2
    with agl.open_log(str(path), readonly=True) as log:
        assert log.rows("select step, value from metrics where name = 'dropped/other_agent'") == [(1, 4.0), (2, 4.0)]
    assert [step.label for _, step in facts(StepRecorded)].count("update") == 2


@pytest.mark.parametrize(
    ("policies", "why"),
    [
        ({}, "one or more"),
        ({"planner": {"steps": 3}}, "'planner'.*steps"),
        ({"planner": {"no_such": 3}}, "no_such"),
        ({"planner": {"learning_rate": -1}}, "learning_rate"),
    ],
)
def test_what_cannot_be_said_of_one_policy_is_refused(policies, why):
    """Before anything runs."""
    with pytest.raises(BadValue, match=why):
        GrpoConfig(policies=policies)


def test_each_policy_has_what_is_said_for_all_and_what_is_said_for_it():
    """Its own word goes first; what concerns rollouts is everybody's."""
    planner, solver = GrpoConfig(kl=0.1, policies={"planner": {"agent": "p"}, "solver": {"kl": 0.2}}).trained

    assert (planner.policy, planner.agent, planner.kl) == ("planner", "p", 0.1)
    assert (solver.policy, solver.agent, solver.kl) == ("solver", None, 0.2)
    assert GrpoConfig().trained == (GrpoConfig(),)


@pytest.mark.slow
@needs_a_model
class TestGrpoOfSeveral(AlgorithmContract):
    """Two steps of two, one request at a time; a step may have no row of one of them."""

    deaths, cancels = 8, 1

    @pytest.fixture
    def make(self):
        """Small, and with checkpoints that are made again."""
        return lambda: Grpo(steps=2, policies=TEAM, checkpoint_every=2, eval_every=2, **SMALL)

    @pytest.fixture
    def agent(self):
        """It asks both."""
        return shifts

    @pytest.fixture
    def tasks(self):
        """A letter each."""
        return {
            "train": [{"letter": letter} for letter in "abcd"],
            "val": [{"letter": "e"}],
            "test": [{"letter": "f"}],
        }

    @pytest.fixture
    def options(self, folders, monkeypatch):
        """The engines that serve them; the same tokens come of the same seed."""
        monkeypatch.setenv("AGL_LOAD_PLUGINS", "transformers,triplets,rewards")
        urls = {name: f"transformers:{folder}?threads=1" for name, folder in folders.items()}
        return {"models": urls, "deterministic": True}
