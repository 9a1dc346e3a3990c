"""What many workers send, reordered, twice and late, against a plain model: every batch has exactly what counts."""

import random
from dataclasses import dataclass, field

import pytest

from agl_core.clock import Still
from agl_core.events import POLICY, CallRecorded, ModelCall, RolloutConfig, SpanRecorded
from agl_core.log import SqliteLog, verify
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.store import EnqueueRolloutRequest, Store, _decisions, _keeper

pytestmark = pytest.mark.anyio
LEASE, TIMEOUT = 30.0, 20.0
EXITS = ["completed", "completed", "gave_up", "agent_raised", "endpoint_down", "timeout"]


@dataclass
class Try:
    """An attempt, as the model sees it."""

    id: str
    started: float
    deadline: float
    brought: dict[tuple[str, str], bool] = field(default_factory=dict)
    """Kind and id of what arrived, and whether the first of it came in time."""
    exit_status: str | None = None
    is_fenced: bool = False
    """Its lease was lost: what it brings from here on does not count."""

    @property
    def is_open(self):
        """It holds its lease."""
        return self.exit_status is None and not self.is_fenced

    def counted(self, kind):
        """Ids of that kind that came in time."""
        return {what for (each, what), in_time in self.brought.items() if each == kind and in_time}


@dataclass
class Task:
    """A rollout, as the model sees it."""

    config: RolloutConfig
    status: str = "queuing"
    exit_status: str | None = None
    tries: list[Try] = field(default_factory=list)
    rewards: list[tuple[str | None, float]] = field(default_factory=list)
    """Of which attempt, or of the rollout as such; only what counts."""
    is_deleted: bool = False

    @property
    def is_settled(self):
        """Nothing changes it any more."""
        return self.status in {"succeeded", "failed", "cancelled"}

    def end(self, exit_status):
        """The attempt under way came to an end that counts."""
        ends = [one.exit_status for one in self.tries]
        tried_again = exit_status == "worker_lost" or (
            exit_status not in POLICY and sum(end != "worker_lost" for end in ends) < self.config.max_attempts
        )
        if tried_again and len(ends) < max(10, self.config.max_attempts):
            self.status = "requeuing"
        else:
            self.status = "succeeded" if exit_status in {"completed", "gave_up"} else "failed"
            self.exit_status = exit_status

    @property
    def row(self):
        """What a batch takes of it: its calls and its reward, or nothing."""
        if self.exit_status not in POLICY:
            return None
        last = self.tries[-1]
        rewards = [value for of, value in self.rewards if of in {None, last.id}]
        return last.counted("call"), last.counted("span"), rewards[-1] if rewards else None


class World:
    """A store, the model beside it, and what is on its way between them."""

    def __init__(self, store, log, clock, chance):
        self.store, self.log, self.clock, self.chance = store, log, clock, chance
        self.tasks: dict[str, Task] = {}
        self.mail: list[tuple] = []
        """Deliveries: kind, rollout, attempt, what. Any of them may be next, and may come again."""
        self.late = 0

    async def step(self):
        """One of the things that happen."""
        weights = {
            self.enqueue: 2, self.claim: 4, self.deliver: 20, self.wait: 2, self.renew: 2, self.cancel: 0.5,
            self.delete: 0.5, self.retry: 0.5, self.give_back: 0.5, self.judge: 0.5,
        }  # fmt: skip
        await self.chance.choices(list(weights), list(weights.values()))[0]()

    def some(self, wanted):
        """One of the rollouts for which it holds, or None."""
        found = sorted(id_ for id_, task in self.tasks.items() if wanted(task))
        return self.chance.choice(found) if found else None

    async def enqueue(self):
        """A few tasks, in one transaction."""
        config = RolloutConfig(
            max_attempts=self.chance.randint(1, 3), timeout_seconds=self.chance.choice([None, TIMEOUT])
        )
        requests = [EnqueueRolloutRequest(input=n, config=config) for n in range(self.chance.randint(1, 3))]
        self.tasks |= {id_: Task(config) for id_ in await self.store.enqueue(requests)}

    async def claim(self):
        """The oldest that wait are taken."""
        waiting = [id_ for id_, task in self.tasks.items() if task.status in {"queuing", "requeuing"}]
        limit = self.chance.randint(1, 3)

        taken = await self.store.dequeue_many_rollouts(limit=limit)

        assert [one.rollout_id for one in taken] == waiting[:limit]
        for one in taken:
            self.begin(one)

    def begin(self, taken):
        """It will send calls, spans, rewards, and how it ended; perhaps twice, perhaps all of it late."""
        task, now = self.tasks[taken.rollout_id], self.clock.now() / 1e9
        task.status = "preparing"
        until = now + TIMEOUT + 5 if task.config.timeout_seconds else float("inf")
        task.tries.append(Try(taken.attempt_id, now, min(now + LEASE, until)))
        ids = (taken.rollout_id, taken.attempt_id)
        self.mail += [("call", *ids, f"ca-{taken.attempt_id}-{n}") for n in range(self.chance.randint(0, 3))]
        self.mail += [("span", *ids, f"sp-{n}") for n in range(self.chance.randint(0, 2))]
        self.mail += [("reward", *ids, self.chance.random()) for _ in range(self.chance.randint(0, 2))]
        self.mail.append(("result", *ids, self.chance.choice(EXITS)))

    async def deliver(self):
        """Any of what is on its way arrives; now and then it will arrive again."""
        if not self.mail:
            return
        at = self.chance.randrange(len(self.mail))
        kind, rollout_id, attempt_id, what = self.mail[at] if self.chance.random() < 0.3 else self.mail.pop(at)
        task = self.tasks[rollout_id]
        one = next(each for each in task.tries if each.id == attempt_id)
        ids = {"rollout_id": rollout_id, "attempt_id": attempt_id}
        is_new = (kind, what) not in one.brought
        match kind:
            case "call":
                event = CallRecorded(call_id=what, **ids, call=ModelCall(model="m"), started_at=1, latency=0.1)
                self.log.append([Draft(stream=f"rollout/{rollout_id}", event=event, key=f"call/{what}")])
            case "span":
                kept = await self.store.add_span(SpanRecorded(span_id=what, **ids, name="s", started_at=1, ended_at=2))
                assert (kept is not None) is is_new
            case "reward":
                await self.store.add_reward(rollout_id, what, attempt_id=attempt_id)
                task.rewards += [] if one.is_fenced else [(attempt_id, what)]
            case "result":
                attempt = self.store.ask.taken([attempt_id])[0].attempt
                told = await self.store.finish_attempt(attempt, what)
                is_late = not one.is_open or task.is_settled
                assert told.late is is_late
                self.late += is_late
                if not is_late:
                    one.exit_status = what
                    task.end(what)
                return
        one.brought.setdefault((kind, what), not one.is_fenced)
        if one.is_open and task.status == "preparing":
            task.status = "running"

    async def wait(self):
        """Time passes, and leases run out."""
        self.clock.advance(self.chance.choice([1.0, 9.0, 16.0, 31.0]))
        now = self.clock.now() / 1e9

        self.log.transact(lambda view: _decisions.expire(view, self.store._leases))

        for task in self.tasks.values():
            one = task.tries[-1] if task.tries else None
            if one and one.is_open and not task.is_settled and one.deadline < now:
                is_slow = task.config.timeout_seconds and now > one.started + TIMEOUT
                one.is_fenced, one.exit_status = True, "timeout" if is_slow else "unresponsive"
                task.end(one.exit_status)

    async def renew(self):
        """The workers show that they live."""
        self.log.transact(lambda view: _decisions.renew(view, self.store._leases))
        now = self.clock.now() / 1e9
        for task in self.tasks.values():
            one = task.tries[-1] if task.tries else None
            if one and one.is_open and not task.is_settled and now <= one.deadline < now + LEASE * 2 / 3:
                until = one.started + TIMEOUT + 5 if task.config.timeout_seconds else float("inf")
                one.deadline = min(now + LEASE, until)

    async def cancel(self):
        """Somebody calls one off."""
        if id_ := self.some(lambda task: not task.is_deleted):
            await self.store.cancel_rollout(id_)
            self.call_off(self.tasks[id_])

    async def delete(self):
        """Somebody deletes one."""
        if id_ := self.some(lambda task: not task.is_deleted):
            await self.store.delete_rollout(id_)
            self.tasks[id_].is_deleted = True
            self.call_off(self.tasks[id_])

    def call_off(self, task):
        """It is settled; what its attempt brings changes nothing."""
        if not task.is_settled:
            task.status = "cancelled"

    async def retry(self):
        """Somebody wants another try at one that is open."""
        if id_ := self.some(lambda task: not task.is_settled):
            task = self.tasks[id_]
            taken = await self.store.start_attempt(id_)
            if task.tries and task.tries[-1].is_open:
                task.tries[-1].is_fenced, task.tries[-1].exit_status = True, "worker_lost"
            self.begin(taken)

    async def give_back(self):
        """A worker stops; its rollout waits again."""
        if id_ := self.some(lambda task: not task.is_settled and task.tries and task.tries[-1].is_open):
            one = self.tasks[id_].tries[-1]
            (started,) = (
                record.event
                for record in self.log.read(stream=f"rollout/{id_}", types=["attempt.started"])
                if record.event.attempt_id == one.id
            )
            await self.store.give_back(started)
            one.is_fenced, one.exit_status = True, "worker_lost"
            self.tasks[id_].status = "requeuing"

    async def judge(self):
        """Somebody scores one, whenever: a judge names no attempt."""
        if id_ := self.some(lambda task: task.is_settled):
            value = self.chance.random()
            await self.store.add_reward(id_, value, judge="later")
            self.tasks[id_].rewards.append((None, value))

    # --- what must hold

    def check(self):
        """The store says what the model says, of every rollout."""
        listed = {one.rollout_id: one.status for one in self.store.ask.rollouts()}
        assert listed == {id_: task.status for id_, task in self.tasks.items() if not task.is_deleted}
        ids = list(self.tasks)
        outcomes, traces = self.store.ask.outcomes(ids), self.store.ask.traces(ids)
        for task, outcome, trace in zip(self.tasks.values(), outcomes, traces, strict=True):
            assert (outcome.status, outcome.exit_status) == (task.status, task.exit_status)
            if outcome.status in {"succeeded", "failed", "cancelled"}:
                assert (trace.status, trace.exit_status) == (task.status, task.exit_status)
            is_in = outcome.exit_status in POLICY
            calls = {call.call_id for call in trace.calls}
            row = (calls, {span.span_id for span in trace.spans}, outcome.reward) if is_in else None
            assert row == task.row


@pytest.fixture
def anyio_backend():
    """As the store does."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _keeper_sleeps(monkeypatch):
    """Leases are kept by the test, when it says so."""
    monkeypatch.setattr(_keeper, "_TICK", 3600.0)


@pytest.mark.parametrize("seed", range(12))
async def test_a_batch_has_exactly_what_counts(seed):
    """However it arrives: nothing crashes, every late result is marked, and none of it is in a batch."""
    clock, chance = Still(), random.Random(seed)
    with SqliteLog(":memory:", projections=CORE, clock=clock) as log:
        store = Store(log, clock=clock, lease_seconds=LEASE)
        world = World(store, log, clock, chance)

        for step in range(250):
            await world.step()
            if step % 25 == 0:
                world.check()
        while world.mail:  # all that was held back comes at last
            await world.deliver()
        world.check()

        late = [record.event for record in log.read(types=["attempt.finished"]) if record.event.late]
        assert len(late) == world.late > 0
        assert list(verify(log)) == []
        store.close()
