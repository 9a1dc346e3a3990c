"""Scores belong to tasks: what is compared is compared task by task, and what is missing is no number."""

import asyncio
from types import SimpleNamespace

import pytest
from agl_apo._candidate import Candidate
from agl_apo._costs import Purse, Work
from agl_apo._draws import batches
from agl_apo._scores import Scoreboard, tasks_of
from agl_apo._verdict import Comparison

from agl_core.errors import TooFewScored
from agl_core.events import RolloutConfig
from agl_core.ids import task_id
from agl_core.resources import PromptTemplate, ResourcesUpdate
from agl_core.run import Budget, Spending
from agl_core.store import Outcome


def candidate(name):
    """With a prompt of its own."""
    prompts = {"prompt_template": PromptTemplate(template=name)}
    bundle = ResourcesUpdate(resources_id=name, version=1, create_time=0, update_time=0, resources=prompts)
    return Candidate(name=name, prompts=prompts, bundle=bundle)


class Rolling:
    """Stands for a run: rewards by candidate and task; a word in a reward's place is how the rollout ended."""

    def __init__(self, rewards):
        self.rewards, self.ran = rewards, []
        self.rollout_config = RolloutConfig()
        self.store = SimpleNamespace(log=SimpleNamespace(head=lambda: 7))

    def scope(self, name):
        """No counters are needed here."""
        return self

    async def step(self, label, fn, *args):
        """Done at once."""
        return fn(*args)

    async def rollouts(self, tasks, *, resources, mode, repeat, label, config):
        """From the table; several samples of one task earn a little more each."""
        made = []
        for task in tasks:
            self.ran.append((resources.resources_id, task))
            for sample in range(repeat):
                found = self.rewards[resources.resources_id][task]
                ended = found if isinstance(found, str) else "completed"
                made.append(
                    Outcome(
                        rollout_id=f"ro-{len(self.ran)}", task_id=task_id(task), task=task, repeat=sample,
                        status="succeeded" if ended == "completed" else "failed", exit_status=ended,
                        reward=None if isinstance(found, str) or found is None else found + sample,
                    )
                )  # fmt: skip
        return made


def evaluated(rewards, *, tasks, repeat=1):
    """A scoreboard on which each candidate was evaluated on the tasks it has rewards for."""
    run = Rolling(rewards)
    board = Scoreboard(run, repeat=repeat, timeout=1.0)
    for name, told in rewards.items():
        asyncio.run(board.evaluate(candidate(name), [task for task in tasks if task.content in told]))
    return board, run


def test_who_drew_the_easy_tasks_is_not_ahead():
    """Its mean is higher, and on what both were run on it is worse: v0.3 lets means of different batches compete."""
    tasks = tasks_of(["easy", "hard", "harder"])
    board, _ = evaluated({"old": {"hard": 0.3, "harder": 0.2}, "new": {"easy": 1.0, "hard": 0.2}}, tasks=tasks)

    pairs = board.pairs(candidate("old"), candidate("new"), tasks)

    assert pairs.gain == pytest.approx(-0.1)
    assert pairs.tasks == (tasks[1].id,)
    assert pairs.regressed == [tasks[1].id]
    assert pairs.share == 0.5


def test_a_task_is_run_once_for_each_prompt():
    """Also under another candidate's name, and when it comes twice in a batch."""
    tasks = tasks_of(["a", "b"])
    board, run = evaluated({"one": {"a": 1.0, "b": 0.0}}, tasks=tasks)
    twin = Candidate(name="twin", prompts=candidate("one").prompts, bundle=candidate("one").bundle)

    asyncio.run(board.evaluate(twin, [*tasks, *tasks]))
    asyncio.run(board.evaluate(twin, tasks, mode="train"))

    assert run.ran == [("one", "a"), ("one", "b")] * 2, "once for each mode"
    assert board.rollouts == 4


def test_equal_tasks_of_a_split_are_samples_of_their_own():
    """They were put there to weigh more."""
    tasks = tasks_of(["same", "same", "other"])

    assert len({task.id for task in tasks}) == 3
    assert tasks[0].id == task_id("same")


def test_what_was_not_scored_is_no_zero():
    """It is in no pair, and counted by how it ended."""
    tasks = tasks_of(["a", "b", "c", "d"])
    rewards = {"one": {"a": 0.5, "b": 0.5, "c": 0.5, "d": "worker_lost"}, "two": {"a": 1.0, "b": None, "c": "timeout"}}
    board, _ = evaluated(rewards, tasks=tasks)

    pairs = board.pairs(candidate("one"), candidate("two"), tasks)

    assert (pairs.gain, pairs.of, pairs.share) == (0.5, 3, pytest.approx(1 / 3))
    assert board.lost(candidate("two"), tasks) == {"no_reward": 1, "timeout": 1}
    with pytest.raises(TooFewScored, match=r"scored on 1 of 3 tasks .1 no_reward, 1 timeout"):
        board.insist(candidate("two"), tasks[:3], share=0.8)


def test_a_score_is_the_mean_of_its_samples():
    """Of those that count."""
    board, _ = evaluated({"one": {"a": 0.0}}, tasks=tasks_of(["a"]), repeat=3)

    assert board.rewards(candidate("one"), tasks_of(["a"])) == {task_id("a"): 1.0}


def test_every_task_comes_before_any_comes_again():
    """And none twice in a batch; fewer tasks than a batch takes are all of it."""
    import random

    drawn = batches(range(5), 3, random.Random(0))
    hands = [next(drawn) for _ in range(5)]

    assert all(len(set(hand)) == 3 for hand in hands)
    assert sorted(hands[0] + hands[1][:2]) == list(range(5))
    assert sorted(index for hand in hands for index in hand) == sorted([*range(5)] * 3)
    assert sorted(next(batches(range(2), 16, random.Random(0)))) == [0, 1]


def test_work_is_priced_by_what_such_work_cost_so_far():
    """A rollout of two calls stays one of two calls; questions are priced by themselves once there were some."""
    run = SimpleNamespace(budget=Budget(calls=100, tokens=5000))
    purse = Purse(run, SimpleNamespace(rollouts=10))
    purse.spent = Spending(calls=20, tokens=1000)

    first = purse.after(Work(rollouts=5, asks=4))
    purse.add(SimpleNamespace(prompt_tokens=400, completion_tokens=100))
    purse.spent = Spending(calls=21, tokens=1500, usd=3.0)
    then = purse.after(Work(rollouts=5), Work(asks=4))

    assert first == Spending(calls=34, tokens=1900)
    assert (then.calls, then.tokens, then.usd) == (35, 4000, pytest.approx(3 + 5 * 0.2 + 4 * 1.0))
    assert purse.covers(Work(rollouts=5), Work(asks=4))
    assert not purse.covers(Work(rollouts=5), Work(asks=7))


@pytest.mark.parametrize(
    ("differences", "better"),
    [([1.0] * 6, True), ([1.0] * 5, False), ([1.0, -1.0] * 10, False), ([0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.0], True)],
)
def test_better_is_an_interval_above_zero_of_enough_pairs(differences, better):
    """A bootstrap of five is too sure of itself: five that agree are chance one time in sixteen."""
    names = [str(n) for n in range(len(differences))]

    found = Comparison.of(names, [0.0] * len(differences), differences, seed=1)

    assert found.is_better is better
    assert found.regressed == tuple(name for name, change in zip(names, differences, strict=True) if change < 0)
