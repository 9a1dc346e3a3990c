"""The loop: which movements it makes, in which order, and what it does when there is nothing to learn."""

from __future__ import annotations

import asyncio
import json
import math
import random
import sys
from dataclasses import replace
from statistics import fmean
from types import SimpleNamespace

import pytest
from agl_grpo import Grpo, GrpoConfig, _ending, agl_register_algorithms
from agl_grpo._ending import is_covered
from agl_grpo._groups import groups

from agl_core.adapter import Adapted, Dropped
from agl_core.errors import BadValue, MissingExtra, NoTrainingData, NoUsableRows, TokenIdsMissing, UnknownName
from agl_core.run import Budget, Spending, Updated, describe
from agl_core.store import Outcome

SMALL = GrpoConfig(steps=4, tasks_per_step=2, group_size=2, eval_every=2, checkpoint_every=3, learning_rate=1e-3)


class ScriptedRun:
    """A test double of the durable run: agents answer from a script; updates are really made, on a real model."""

    id, seed, deterministic, is_reading_back, test_size = "run-1", 5, True, False, 0
    budget, prices, stops_after = Budget(), None, ()

    def __init__(self, first, folder, make_row, *, train=("t0", "t1", "t2", "t3"), val=("v0",), agreeing=()):
        self.train, self.val = list(train), list(val)
        self.movements, self.logged, self.timed, self.result, self._version = [], [], [], {}, 7
        self._policy, self._folder, self._make_row, self._agreeing = first, folder, make_row, agreeing

    def rng(self, name):
        """A named random stream."""
        return random.Random(f"{self.seed}/{name}")

    def policy(self, name):
        """The weights it started with."""
        return self._policy

    async def rollouts(self, tasks, *, repeat=1, mode="train", label="rollouts", sampling=None):
        """Each member of a group earns its number; all of them 1 in an agreeing round."""
        tasks = list(tasks)
        self.movements.append((label, len(tasks), repeat, mode, sampling))
        number = sum(movement[0] == "train" for movement in self.movements)
        return [
            Outcome(
                rollout_id=f"{mode}-{number}-{task}-{sample}",
                task_id=task,
                task=task,
                repeat=sample,
                status="succeeded",
                exit_status="completed",
                reward=1.0 if number in self._agreeing else float(sample),
            )
            for task in tasks
            for sample in range(repeat)
        ]

    def adapter(self, name, **options):
        """Noted; there is none of another name."""
        if options["credit"]["name"] != "rewards":
            raise UnknownName("adapter", options["credit"]["name"], known=["rewards"])
        self.movements.append((name, options))

    def adapt(self, outcomes, adapter, **options):
        """A row for each that is compared with another, which earned what it is above the mean, and one lost call."""
        self.movements.append((adapter, options))
        mean = fmean(outcome.reward for outcome in outcomes)
        compared = {rollout: reward for group in groups(outcomes) for rollout, reward in group.items()}
        rows = [self._make_row(rollout, (2, 3), 4, 5, earned=reward - mean) for rollout, reward in compared.items()]
        lost = [Dropped(call_id="ca-1", rollout_id="ro-1", reason="call_failed")]
        return Adapted(rows=rows, dropped=lost, kept=len(rows))

    async def update(self, label, fn, checkpoint, *args, keep=True):
        """Really carried out, in a thread, as the durable run does."""
        if label == "keep":
            self.movements.append((label, checkpoint.folder.name))
            return None
        rows, rollouts, step = args
        self.movements.append((label, len(rows), len(rollouts), step, keep))
        out = self._folder / str(step)
        out.mkdir()
        result = await asyncio.to_thread(fn, checkpoint, out, *args)
        return Updated(checkpoint=describe(out), result=json.loads(json.dumps(result)))

    async def serve(self, checkpoint, *, policy="policy"):
        """Noted."""
        self.movements.append(("serve", checkpoint.folder.name, policy))
        self._version += 1
        return self._version

    def version(self, name):
        """Of what was served last; what it begins with had been trained before."""
        return self._version

    def log(self, *, step, **metrics):
        """Refused when a number is none, as in the log."""
        assert all(math.isfinite(value) for value in metrics.values())
        self.logged.append((step, metrics))

    def log_time(self, *, step):
        """Noted."""
        self.timed.append(step)

    async def step(self, label, fn, *args):
        """Carried out."""
        return fn(*args)

    async def goes_on(self):
        """Until somebody asks."""
        return len(self.timed) not in self.stops_after

    async def examine(self, *, before, after, policy="policy", sampling=None):
        """Noted."""
        self.movements.append(("examine", before.digest, after.folder.name, sampling))


@pytest.fixture
def scripted(first, make_row, tmp_path):
    """A run whose every group has one winner and one loser, unless told otherwise."""
    return lambda **script: ScriptedRun(first, tmp_path, make_row, **script)


def test_a_round_is_rollouts_rows_an_update_and_new_weights(scripted, first):
    """In that order, four times; the validation split every second; the sealed one once, at the end."""
    run = scripted()

    asyncio.run(Grpo(SMALL).run(run))

    sampling = {"temperature": 1.0, "max_tokens": 256}
    credit = {"name": "rewards", "rule": "group_relative", "normalise_std": True}
    options = [
        {"agent": None, "model": "policy", "credit": credit, "current_version": version} for version in range(7, 11)
    ]
    expected = [("triplets", options[0])]
    for step in (1, 2, 3, 4):
        expected += [("train", 2, 2, "train", sampling), ("triplets", options[step - 1])]
        expected += [("update", 4, 4, step, step in {3, 4}), ("serve", str(step), "policy")]
        expected += [("val", 1, 1, "val", sampling)] if step in {2, 4} else []
    assert run.movements == [*expected, ("examine", first.digest, "4", sampling)]


def test_every_step_says_how_it_went(scripted):
    """Reward, groups, policy and what was dropped, under the names the field uses."""
    run = scripted()

    asyncio.run(Grpo(SMALL).run(run))

    assert [step for step, _ in run.logged] == [1, 2, 3, 4]
    assert run.logged[0][1].keys() == {
        "reward/mean", "reward/p10", "reward/p90", "reward/n", "group/size", "group/zero_variance",
        "policy/entropy", "policy/kl", "policy/clip_fraction", "policy/grad_norm",
        "train/tokens_per_second", "train/rows", "train/drift", "calls/kept", "calls/dropped", "dropped/call_failed",
        "calls/merged", "staleness/mean", "staleness/max",
    }  # fmt: skip
    assert run.logged[0][1]["reward/mean"] == 0.5
    assert run.logged[1][1]["val/reward"] == 0.0


def test_a_round_that_agrees_is_logged_and_skipped(scripted):
    """Nothing to learn is no error: no update, no new weights, and the next round goes on from the old ones."""
    run = scripted(agreeing={2, 3, 4})

    asyncio.run(Grpo(SMALL).run(run))

    assert [movement[3] for movement in run.movements if movement[0] == "update"] == [1]
    assert [metrics["group/zero_variance"] for _, metrics in run.logged] == [0, 1, 1, 1]
    assert "policy/entropy" not in run.logged[1][1]
    assert run.movements[-1][2] == "1"


def test_the_last_weights_are_kept_where_the_last_step_was_not_foreseen(scripted):
    """No update followed the first, whose files would go with the run: they are kept before it ends."""
    run = scripted(agreeing={2, 3, 4})

    asyncio.run(Grpo(SMALL).run(run))

    assert [movement for movement in run.movements if movement[0] == "keep"] == [("keep", "1")]
    assert run.movements[-2][0] == "keep"


def test_a_run_that_is_asked_to_stop_ends_in_good_order(scripted, first):
    """At the head of the next step: what was learnt is kept and examined, and the result says why there is no more."""
    run = scripted()
    run.stops_after = {2}

    asyncio.run(Grpo(SMALL).run(run))

    assert run.timed == [1, 2]
    assert run.result == {"stopped": "before step 3 of 4: it was asked to stop"}
    sampling = {"temperature": 1.0, "max_tokens": 256}
    assert run.movements[-2:] == [("keep", "2"), ("examine", first.digest, "2", sampling)]


@pytest.mark.parametrize(("calls", "steps"), [(28, [1, 2, 3, 4]), (27, [1, 2, 3]), (20, [1, 2]), (16, [1])])
def test_a_step_that_the_budget_does_not_cover_is_not_begun(scripted, monkeypatch, calls, steps):
    """Each rollout costs a call: a step has four, every second one three more, and the examination six."""
    run = scripted(val=("v0", "v1", "v2"))
    run.budget, run.test_size, run.store = Budget(calls=calls), 3, SimpleNamespace(log=None)
    costs = [0, 4, 11, 15, 22]
    monkeypatch.setattr(_ending, "spent", lambda *_of: Spending(calls=costs[len(run.timed)]))

    asyncio.run(Grpo(SMALL).run(run))

    assert run.timed == steps
    assert ("stopped" in run.result) is (len(steps) < 4)
    assert run.movements[-1][0] == "examine"


@pytest.mark.parametrize(
    ("budget", "covered"),
    [({"calls": 30}, True), ({"calls": 29}, False), ({"tokens": 300, "usd": 3.0}, True), ({"usd": 2.99}, False)],
)
def test_a_budget_covers_what_rollouts_have_cost_so_far(budget, covered):
    """Ten rollouts cost 10 calls, 100 tokens and a dollar: twenty more cost twice that."""
    spent = Spending(calls=10, tokens=100, usd=1.0)

    assert is_covered(Budget(**budget), spent, rollouts=10, more=20) is covered


def test_it_tells_ahead_what_it_will_hand_out():
    """All steps at most, one and the examination at least; a budget for less is too small."""
    grpo, tasks = Grpo(SMALL), {"train": 9, "val": 3, "test": 5}

    plan = grpo.plan(tasks, Budget(calls=13))

    assert plan.rollouts == (4 + 10, 4 * 4 + 2 * 3 + 10)
    assert plan.too_small == "one step and the examination are 14 rollouts"
    assert grpo.plan(tasks, Budget(calls=14)).too_small is None


def test_every_validation_task_is_in_the_one_number_that_is_logged(scripted, monkeypatch):
    """V16: however many there are, none is overwritten by a later one."""
    run = scripted(val=tuple(f"v{n}" for n in range(5)))
    rollouts = run.rollouts

    async def earning(tasks, **options):
        found = await rollouts(tasks, **options)
        return [replace(one, reward=float(one.task[1:])) if options.get("mode") == "val" else one for one in found]

    monkeypatch.setattr(run, "rollouts", earning)
    asyncio.run(Grpo(SMALL, steps=2).run(run))

    assert [(step, metrics["val/reward"], metrics["val/n"]) for step, metrics in run.logged if "val/n" in metrics] == [
        (2, 2.0, 5)
    ]


def test_steps_without_a_row_are_warned_of_and_then_stop_the_run(scripted, monkeypatch, caplog):
    """V17: one of them ends nothing; as many as were allowed, in a row, say what was lost and how to go on."""
    run = scripted()
    lost = [Dropped(call_id="ca-1", rollout_id="ro-1", reason="call_failed")]
    monkeypatch.setattr(run, "adapt", lambda *_args, **_options: Adapted(rows=[], dropped=lost, kept=0))

    with pytest.raises(NoUsableRows, match=r"3 steps in a row.*1 call_failed.*empty_steps"):
        asyncio.run(Grpo(SMALL, empty_steps=3).run(run))

    assert [metrics["train/rows"] for _, metrics in run.logged] == [0, 0]
    assert [one.getMessage() for one in caplog.records if "no row" in one.getMessage()] == [
        f"step {step}: 'policy' has no row to learn from (1 call_failed)" for step in (1, 2, 3)
    ]


def test_a_step_with_a_row_makes_up_for_those_before(scripted, monkeypatch):
    """Only so many in a row stop a run."""
    run = scripted()
    adapt, calls = run.adapt, []

    def now_and_then(*arguments, **options):
        calls.append(1)
        return Adapted(rows=[], dropped=[], kept=0) if len(calls) % 2 else adapt(*arguments, **options)

    monkeypatch.setattr(run, "adapt", now_and_then)
    asyncio.run(Grpo(SMALL, empty_steps=2).run(run))

    assert len(run.logged) == 4


def test_a_run_that_is_resumed_after_them_has_as_many_steps_again(scripted, monkeypatch):
    """Those that are read back are not counted: something was mended since."""
    run = scripted()
    monkeypatch.setattr(run, "adapt", lambda *_args, **_options: Adapted(rows=[], dropped=[], kept=0))
    run.is_reading_back = True

    asyncio.run(Grpo(SMALL, empty_steps=2).run(run))

    assert len(run.logged) == 4


def test_with_a_divergence_to_weigh_a_round_that_agrees_is_learned_from(scripted):
    """Its advantage is 0, and its divergence from the reference is not."""
    run = scripted(agreeing={1})

    asyncio.run(Grpo(SMALL, steps=1, kl=0.1).run(run))

    assert [movement[1] for movement in run.movements if movement[0] == "update"] == [4]


@pytest.mark.parametrize(
    ("options", "credit"),
    [
        ({}, {"name": "rewards", "rule": "group_relative", "normalise_std": True}),
        ({"normalise_std": False}, {"name": "rewards", "rule": "group_relative", "normalise_std": False}),
        ({"credit": "per_call"}, {"name": "rewards", "rule": "per_call"}),
        ({"credit": {"rule": "discounted", "gamma": 0.9}}, {"name": "rewards", "rule": "discounted", "gamma": 0.9}),
        (
            {"credit": {"of": "per_agent"}},
            {"name": "rewards", "rule": "group_relative", "normalise_std": True, "of": "per_agent"},
        ),
        ({"credit": {"name": "mine", "rule": "group_relative"}}, {"name": "mine", "rule": "group_relative"}),
    ],
    ids=["default", "not divided", "rule", "options", "no rule", "another adapter"],
)
def test_credit_is_a_rule_or_its_options(options, credit):
    """Only the group's rule is told whether to divide; what another adapter is told is its own."""
    assert GrpoConfig(**options).crediting == credit


def test_a_credit_that_nobody_brings_costs_no_rollout(scripted):
    """The code of an unknown name, which says what to install."""
    run = scripted()

    with pytest.raises(UnknownName, match="mine"):
        asyncio.run(Grpo(SMALL, credit={"name": "mine"}).run(run))

    assert run.movements == []


def test_a_rollout_that_its_run_masks_is_in_no_group(scripted, monkeypatch):
    """And in no sum: N counts what is left."""
    run = scripted()
    rollouts = run.rollouts

    async def unlucky(tasks, **options):
        first, *others = await rollouts(tasks, **options)
        return [replace(first, treated="mask"), *others]

    monkeypatch.setattr(run, "rollouts", unlucky)
    asyncio.run(Grpo(SMALL, steps=1).run(run))

    assert [movement[2] for movement in run.movements if movement[0] == "update"] == [2]


def test_no_validation_split_is_fine(scripted):
    """There is then nothing to evaluate on."""
    run = scripted(val=())

    asyncio.run(Grpo(SMALL).run(run))

    assert not any(movement[0] == "val" for movement in run.movements)


def test_no_task_is_refused(scripted):
    """With the code that says what to pass."""
    with pytest.raises(NoTrainingData):
        asyncio.run(Grpo(SMALL).run(scripted(train=())))


def test_a_model_without_token_ids_is_an_error_at_the_first_step(scripted, monkeypatch):
    """Sampling on would cost, and teach nothing."""
    run = scripted()
    silent = [Dropped(call_id="ca-1", rollout_id="ro-1", reason="no_token_ids")]
    monkeypatch.setattr(run, "adapt", lambda *_args, **_options: Adapted(rows=[], dropped=silent, kept=0))

    with pytest.raises(TokenIdsMissing, match="return_token_ids"):
        asyncio.run(Grpo(SMALL).run(run))

    assert [movement[0] for movement in run.movements] == ["triplets", "train"]


def test_a_missing_torch_names_the_install_line(scripted, monkeypatch):
    """Before the first rollout, so that nothing is spent."""
    run = scripted()
    monkeypatch.setitem(sys.modules, "torch", None)
    for module in ("_learner", "_loss", "_batch", "_forward", "_student"):
        monkeypatch.delitem(sys.modules, f"agl_grpo.{module}", raising=False)

    with pytest.raises(MissingExtra, match=r"pip install 'agl-grpo\[torch\]'"):
        asyncio.run(Grpo(SMALL).run(run))

    assert run.movements == []


def test_it_is_registered_and_configured_by_name():
    """`--set key=value` of the command line ends here."""
    assert agl_register_algorithms() == {"grpo": Grpo}
    assert Grpo(SMALL, clip=0.3).config == replace(SMALL, clip=0.3)
    assert Grpo(steps=2).config.group_size == 8


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"group_size": 1},
        {"learning_rate": 0},
        {"temperature": 0.0},
        {"kl": float("nan")},
        {"clip": -1},
        {"beta2": 1},
    ],
)
def test_bad_hyper_parameters_are_refused(options):
    """At the door, not forty rollouts later."""
    with pytest.raises(BadValue):
        GrpoConfig(**options)
