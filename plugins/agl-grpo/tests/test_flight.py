"""Groups in flight, in whole runs of a real model: what lands first is trained on, and a kill changes nothing of it."""

from __future__ import annotations

import threading
from importlib.util import find_spec

import pytest

import agl_core as agl
from agl_core.events import BatchFormed, CallRecorded, OutcomesRead, PolicyUpdated, RolloutEnqueued
from agl_core.testing import AlgorithmContract

from ._speaking import ask, speaking

for framework in ("torch", "transformers", "tokenizers", "agl_transformers", "agl_triplets", "agl_rewards"):
    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed", allow_module_level=True)

SMALL = {"tasks_per_step": 2, "group_size": 2, "max_tokens": 4, "learning_rate": 1e-3, "device": "cpu"}


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A model."""
    return speaking(tmp_path_factory.mktemp("model"))


@pytest.fixture
def options(folder, monkeypatch):
    """The engine that serves it."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "transformers,triplets,rewards")
    return {"models": {"policy": f"transformers:{folder}?threads=1"}, "n_runners": 6}


@agl.rollout
async def speak(task, policy, rollout):
    """Earns by its place in its group, so that the weights, which are chance here, decide nothing."""
    await ask(policy, task["letter"])
    return float(rollout.repeat)


class Gate:
    """An agent that asks, and asks again when it may: its rollouts of slow tasks stay in the air."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()

    def agent(self):
        """It."""

        @agl.rollout
        def slow(task, policy, rollout):
            import asyncio

            asyncio.run(ask(policy, task["letter"]))
            if task["letter"] == "s" and rollout.mode == "train":
                assert self.may_go_on.wait(60)
                asyncio.run(ask(policy, task["letter"]))
            return float(rollout.repeat)

        return slow


class Opener:
    """A plugin that opens a gate when weights of a certain version are served."""

    def __init__(self, gate, version):
        self.gate, self.version = gate, version

    def heard(self, records):
        """Follows the log."""
        for record in records:
            if isinstance(record.event, PolicyUpdated) and record.event.version == self.version:
                self.gate.may_go_on.set()


def facts(path, kind):
    """Events of that kind."""
    with agl.open_log(str(path), readonly=True) as log:
        return [record.event for record in log.read(types=[kind.type])]


def metrics(path):
    """Step to name to value."""
    found: dict[int, dict[str, float]] = {}
    with agl.open_log(str(path), readonly=True) as log:
        for step, name, value in log.rows("select step, name, value from metrics"):
            found.setdefault(step, {})[name] = value
    return found


@pytest.fixture
def flown(options, tmp_path):
    """A run of four steps in which one group of the first launch lands last, and what the log has of it."""
    from agl_grpo import Grpo

    gate = Gate()
    path = tmp_path / "log.db"
    grpo = Grpo(steps=4, groups_in_flight=4, eval_every=2, checkpoint_every=1, **SMALL)
    train = [{"letter": letter} for letter in "abcdefgs"]
    trainer = agl.Trainer(
        algorithm=grpo, store=str(path), seed=7, preflight=False, on_records=Opener(gate, 3).heard, **options
    )
    trainer.fit(gate.agent(), train, val_dataset=[{"letter": "v"}, {"letter": "w"}])
    return path


@pytest.mark.slow
def test_steps_do_not_wait_for_the_slowest_group(flown):
    """The one that is held back lands when three versions have been served; until then others are trained on."""
    landed = [read.groups for read in facts(flown, OutcomesRead) if read.groups is not None]
    told = metrics(flown)

    assert [len(groups) for groups in landed] == [2, 2, 2, 2]
    assert sorted(number for groups in landed for number in groups) == list(range(8))
    assert [told[step]["async/in_flight"] for step in (1, 2, 3, 4)] == [4, 4, 4, 2]
    assert [told[step]["async/carried_over"] for step in (1, 2, 3, 4)] == [2, 2, 2, 0]
    assert told[4]["async/age_max"] >= 1
    assert [version.version for version in facts(flown, PolicyUpdated)][:4] == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_call_has_the_version_that_spoke_and_a_row_says_how_old_it_was(flown):
    """Each call of a rollout its own: the slow group began on older weights than it ended on."""
    with agl.open_log(str(flown), readonly=True) as log:
        slow = log.rows(
            "select group_concat(policy_version) from (select c.* from calls c join rollouts r using (rollout_id) "
            "join events e on e.position = r.input_position where e.data like '%\"s\"%' order by c.position) "
            "group by rollout_id"
        )
    told = metrics(flown)

    versions = [tuple(map(int, one.split(","))) for (one,) in slow]
    assert versions
    assert all(first < last == 3 for first, last in versions)
    assert max(told[step]["staleness/max"] for step in told) == 3 - min(first for first, _ in versions)
    assert told[1]["staleness/max"] == 0


@pytest.mark.slow
def test_validation_speaks_with_one_version_and_is_in_no_batch(flown):
    """V19: training rollouts that are carried over go on beside it, and no weights change while it runs."""
    by_round: dict[str, set[int]] = {}
    validation = {one.rollout_id: one.group for one in facts(flown, RolloutEnqueued) if one.mode == "val"}
    for call in facts(flown, CallRecorded):
        if call.rollout_id in validation:
            by_round.setdefault(validation[call.rollout_id], set()).add(call.policy_version)

    assert sorted(by_round.values(), key=min) == [{2}, {4}]
    assert not any(validation.keys() & set(batch.rollouts) for batch in facts(flown, BatchFormed))
    assert [metrics(flown)[step]["val/n"] for step in (2, 4)] == [2, 2]


@pytest.mark.slow
def test_a_step_says_where_its_time_went(flown):
    """From the facts; what is generated while weights are trained counts for both."""
    for told in metrics(flown).values():
        shares = {name.removeprefix("time/"): share for name, share in told.items() if name.startswith("time/")}
        assert shares["step"] > 0
        assert all(0 <= shares[name] <= 1 for name in ("generating", "training", "loading", "draining", "idle"))
        assert shares["generating"] > 0
        assert shares["training"] > 0


@pytest.mark.slow
class TestGrpoInFlight(AlgorithmContract):
    """Three steps of two groups of three in the air, whichever come first."""

    @pytest.fixture
    def make(self):
        """Small, and with checkpoints that are made again."""
        from agl_grpo import Grpo

        return lambda: Grpo(steps=3, groups_in_flight=3, checkpoint_every=2, eval_every=2, **SMALL)

    @pytest.fixture
    def agent(self):
        """It asks the policy."""
        return speak

    @pytest.fixture
    def tasks(self):
        """A letter each."""
        return {
            "train": [{"letter": letter} for letter in "abcd"],
            "val": [{"letter": "e"}],
            "test": [{"letter": "f"}],
        }

    @pytest.fixture
    def options(self, options):
        """Several at a time: which is first is chance."""
        return {**options, "n_runners": 4}
