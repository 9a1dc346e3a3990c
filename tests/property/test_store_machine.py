"""The store against a small pure model: no rollout is lost, none is held twice, and what is settled stays."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agl_core.clock import Still
from agl_core.errors import AlreadySettled, UnknownId
from agl_core.events import RolloutConfig
from agl_core.log import Owner, SqliteLog, verify
from agl_core.projections import CORE
from agl_core.store import Store, _decisions, _keeper

POLICY = {"completed": "succeeded", "gave_up": "succeeded", "max_turns": "succeeded"}
POLICY |= {"timeout": "failed", "prompt_too_long": "failed"}
OTHERS = ("agent_raised", "tool_failed", "endpoint_down", "unresponsive", "stalled")
LEASE = 30.0


@dataclass
class Expected:
    """What the model believes of a rollout."""

    config: RolloutConfig
    status: str = "queuing"
    exits: list[str] = field(default_factory=list)
    attempt: str | None = None
    """The attempt that holds the lease."""
    started: int = 0
    deadline: int = 0
    attempts: int = 0

    @property
    def is_settled(self):
        """Nothing changes it any more."""
        return self.status in {"succeeded", "failed", "cancelled"}

    def end(self, exit_status):
        """An attempt has come to an end that counts."""
        self.exits.append(exit_status)
        self.attempt = None
        if self._is_tried_again(exit_status):
            self.status = "requeuing"
        else:
            self.status = POLICY.get(exit_status, "failed")

    def _is_tried_again(self, exit_status):
        if len(self.exits) >= max(10, self.config.max_attempts):
            return False
        if exit_status == "worker_lost":
            return True
        names = {exit_status, "timeout"} if exit_status == "stalled" else {exit_status}
        asked = bool(names & set(self.config.retry_condition))
        if exit_status in POLICY and not asked:
            return False
        if self.config.retry_condition and not asked:
            return False
        return sum(one != "worker_lost" for one in self.exits) < self.config.max_attempts


class StoreMachine(RuleBasedStateMachine):
    """One process with a clock that stands still, and others that die when they are told to."""

    def __init__(self):
        super().__init__()
        self.clock = Still()
        self.log = SqliteLog(":memory:", projections=CORE, clock=self.clock)
        self.store = Store(self.log, clock=self.clock, lease_seconds=LEASE)
        self.dead = _decisions.Leases(Owner("elsewhere", "boot", 1, "1"), self.clock, LEASE)
        self.rollouts: dict[str, Expected] = {}
        self.past: list[tuple[str, str]] = []
        """Attempts whose lease is gone, with their rollouts."""
        self.settled: dict[str, tuple] = {}

    def teardown(self):
        """Whatever happened, the log is whole."""
        assert list(verify(self.log)) == []
        self.store.close()
        self.log.close()

    def now(self, what):
        """Run it to its end."""
        return asyncio.run(what)

    # --- commands

    @initialize()
    def begin(self):
        """Something to work on."""
        self.enqueue(count=2, max_attempts=2, timeout=None, condition=())

    @rule(
        count=st.integers(1, 3),
        max_attempts=st.integers(1, 3),
        timeout=st.sampled_from([None, 10.0, 100.0]),
        condition=st.sampled_from([(), ("agent_raised",), ("timeout", "endpoint_down"), ("gave_up",)]),
    )
    def enqueue(self, count, max_attempts, timeout, condition):
        """Tasks are handed out, and queue in their order."""
        config = RolloutConfig(max_attempts=max_attempts, timeout_seconds=timeout, retry_condition=condition)
        for number in range(count):
            rollout = self.now(self.store.enqueue_rollout({"n": number}, config=config))
            self.rollouts[rollout.rollout_id] = Expected(config)

    @rule()
    def claim(self):
        """The oldest that waits is taken, or nothing when none waits."""
        waiting = [id_ for id_, one in self.rollouts.items() if one.status in {"queuing", "requeuing"}]

        taken = self.now(self.store.dequeue_rollout("wk-1"))

        if not waiting:
            assert taken is None
            return
        assert taken is not None
        assert taken.rollout_id == waiting[0]
        self.begun(taken)

    def begun(self, taken):
        """An attempt holds a lease from now on."""
        one = self.rollouts[taken.rollout_id]
        one.attempts += 1
        one.status, one.attempt, one.started = "preparing", taken.attempt_id, self.clock.now()
        one.deadline = self.clock.now() + int(LEASE * 1e9)
        if one.config.timeout_seconds:
            one.deadline = min(one.deadline, self.clock.now() + int((one.config.timeout_seconds + 5) * 1e9))
        assert taken.attempt.sequence_id == one.attempts

    def held(self):
        """Rollouts that somebody works on."""
        return [id_ for id_, one in self.rollouts.items() if one.attempt]  # by age: ids of one moment are in no order

    @precondition(lambda self: self.held())
    @rule(data=st.data(), exit_status=st.sampled_from([*POLICY, *OTHERS]))
    def finish(self, data, exit_status):
        """A worker says how it went."""
        id_ = data.draw(st.sampled_from(self.held()))
        one = self.rollouts[id_]
        attempt = self.now(self.store.query_attempts(id_))[-1]

        told = self.now(self.store.finish_attempt(attempt, exit_status))

        assert told.late is False
        self.past.append((id_, attempt.attempt_id))
        one.end(exit_status)

    @precondition(lambda self: self.past)
    @rule(data=st.data(), exit_status=st.sampled_from(["completed", "agent_raised"]))
    def finish_late(self, data, exit_status):
        """A result of a lease that is gone is kept, and changes nothing."""
        id_, attempt_id = data.draw(st.sampled_from(self.past))
        attempt = next(one for one in self.now(self.store.query_attempts(id_)) if one.attempt_id == attempt_id)
        before = self.log.rows("select * from rollouts"), self.log.rows("select * from attempts")

        told = self.now(self.store.finish_attempt(attempt, exit_status))

        assert told.late is True
        assert (self.log.rows("select * from rollouts"), self.log.rows("select * from attempts")) == before

    @precondition(lambda self: self.held())
    @rule(data=st.data())
    def renew(self, data):
        """A sign of life moves on every deadline that is due, but no further than a time-out."""
        self.log.transact(lambda view: _decisions.renew(view, self.store._leases))
        due = self.clock.now() + int(LEASE * 2 / 3 * 1e9)
        for one in self.rollouts.values():
            if one.attempt and self.clock.now() <= one.deadline < due:
                until = self.clock.now() + int(LEASE * 1e9)
                if one.config.timeout_seconds:
                    until = min(until, one.started + int((one.config.timeout_seconds + 5) * 1e9))
                one.deadline = max(one.deadline, until)

    @rule(seconds=st.sampled_from([1.0, 9.0, 16.0, 31.0]))
    def time_passes(self, seconds):
        """And leases that ran out end, by time-out when that is why."""
        self.clock.advance(seconds)
        now = self.clock.now()

        self.log.transact(lambda view: _decisions.expire(view, self.store._leases))

        for id_, one in self.rollouts.items():
            if one.attempt and one.deadline < now:
                limit = one.config.timeout_seconds
                self.past.append((id_, one.attempt))
                one.end("timeout" if limit and now > one.started + int(limit * 1e9) else "unresponsive")

    @precondition(lambda self: self.held())
    @rule(data=st.data())
    def worker_gives_back(self, data):
        """A worker that stops before it begins costs the rollout no try."""
        id_ = data.draw(st.sampled_from(self.held()))
        one = self.rollouts[id_]
        started = next(
            record.event
            for record in self.log.read(stream=f"rollout/{id_}", types=["attempt.started"])
            if record.event.attempt_id == one.attempt
        )

        self.now(self.store.give_back(started))

        self.past.append((id_, one.attempt))
        one.exits.append("worker_lost")
        one.attempt, one.status = None, "requeuing"

    @precondition(lambda self: self.rollouts)
    @rule(data=st.data())
    def cancel(self, data):
        """It is called off, unless it is settled."""
        id_ = data.draw(st.sampled_from(list(self.rollouts)))
        one = self.rollouts[id_]

        self.now(self.store.cancel_rollout(id_))

        if not one.is_settled:
            if one.attempt:
                self.past.append((id_, one.attempt))
            one.status, one.attempt = "cancelled", None

    @precondition(lambda self: self.rollouts)
    @rule(data=st.data())
    def delete(self, data):
        """It is hidden, whatever was under way; the model knows it no more."""
        id_ = data.draw(st.sampled_from(list(self.rollouts)))

        self.now(self.store.delete_rollout(id_))

        del self.rollouts[id_]
        self.past = [(of, attempt_id) for of, attempt_id in self.past if of != id_]
        with pytest.raises(UnknownId):
            self.now(self.store.get_rollout_by_id(id_))

    @precondition(lambda self: self.rollouts)
    @rule(data=st.data())
    def try_again(self, data):
        """Another attempt is asked for: the one under way is fenced, and a settled rollout refuses."""
        id_ = data.draw(st.sampled_from(list(self.rollouts)))
        one = self.rollouts[id_]
        if one.is_settled:
            with pytest.raises(AlreadySettled):
                self.now(self.store.start_attempt(id_))
            return
        if one.attempt:
            self.past.append((id_, one.attempt))
            one.exits.append("worker_lost")

        self.begun(self.now(self.store.start_attempt(id_, "wk-2")))

    @precondition(lambda self: self.rollouts)
    @rule(data=st.data())
    def spans_and_rewards_arrive(self, data):
        """Work that shows moves an open attempt to running; of a settled one it changes nothing."""
        id_ = data.draw(st.sampled_from(list(self.rollouts)))
        one = self.rollouts[id_]
        attempts = self.now(self.store.query_attempts(id_))
        with pytest.raises(UnknownId):
            self.now(self.store.add_reward(id_, 1.0, attempt_id="at-none"))
        if attempts:
            self.now(self.store.add_reward(id_, 0.5, attempt_id=attempts[-1].attempt_id))
            if one.attempt:
                one.status = "running"

    # --- what holds at any time

    @invariant()
    def the_store_says_what_the_model_says(self):
        """No rollout is lost, and each stands where it should."""
        found = {one.rollout_id: (one.status, one.attempts) for one in self.store.ask.rollouts()}
        assert found == {id_: (one.status, one.attempts) for id_, one in self.rollouts.items()}

    @invariant()
    def the_tallies_count_what_is_there(self):
        """Of each status as many as there are, deleted ones left out."""
        tallies = dict(self.log.rows("select status, rollouts from tallies where rollouts <> 0"))
        assert tallies == Counter(one.status for one in self.rollouts.values())

    @invariant()
    def none_is_held_twice(self):
        """One lease for each attempt under way, and none beside."""
        leases = [id_ for (id_,) in self.log.rows("select id from in_flight where kind = 'lease'")]
        assert sorted(leases) == sorted(one.attempt for one in self.rollouts.values() if one.attempt)
        open_ = self.log.rows("select attempt_id from attempts where ended_at is null")
        assert sorted(id_ for (id_,) in open_) == sorted(leases)

    @invariant()
    def the_queue_holds_those_that_wait(self):
        """In the order they were enqueued, also when they come back."""
        queue = [id_ for (id_,) in self.log.rows("select rollout_id from queue order by position")]
        assert queue == [id_ for id_, one in self.rollouts.items() if one.status in {"queuing", "requeuing"}]

    @invariant()
    def what_is_settled_stays(self):
        """A terminal state is final, and so is when it came."""
        rows = self.log.rows(
            "select rollout_id, status, exit_status, attempt_id, attempts, finished_at from rollouts "
            "where status in ('succeeded', 'failed', 'cancelled')"
        )
        now = {row[0]: row for row in rows}
        assert {id_: now.get(id_) for id_ in self.settled} == self.settled
        self.settled = now

    @invariant()
    def tries_are_bounded(self):
        """Attempts that were not lost with their worker are never more than was allowed."""
        for one in self.rollouts.values():
            assert sum(exit_status != "worker_lost" for exit_status in one.exits) <= one.config.max_attempts


@pytest.fixture(autouse=True)
def _keeper_sleeps(monkeypatch):
    """Leases are kept by the test, when it says so."""
    monkeypatch.setattr(_keeper, "_TICK", 3600.0)


class TestStoreMachine(StoreMachine.TestCase):
    """With a keeper that sleeps."""

    settings = settings(max_examples=40, stateful_step_count=30)
