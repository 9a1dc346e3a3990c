"""What is done all the time costs the same however much there is: counted in steps of SQLite, not in seconds."""

import pytest

from agl_core.events import SpanRecorded
from agl_core.log import Owner
from agl_core.store import EnqueueRolloutRequest, _adding, _decisions
from agl_core.store._taking import Claim

pytestmark = pytest.mark.anyio


@pytest.fixture
def steps(log):
    """How many steps a decision takes; what it decides is not done."""

    class Undone(Exception):
        pass

    def steps(decide) -> int:
        taken = []

        def counted(view):
            view.in_flight._db.set_progress_handler(lambda: taken.append(1), 1)
            try:
                decide(view)
            finally:
                view.in_flight._db.set_progress_handler(None, 0)
            raise Undone

        with pytest.raises(Undone):
            log.transact(counted)
        return len(taken)

    return steps


async def fill(store, *, queued=0, held=0):
    """So many that wait, and so many under way."""
    if queued or held:
        await store.enqueue([EnqueueRolloutRequest(input=n) for n in range(queued + held)])
    if held:
        await store.dequeue_many_rollouts(limit=held)


async def test_a_claim_costs_the_same_however_many_wait(store, steps):
    """It takes the head of the queue."""
    await fill(store, queued=10)
    few = steps(Claim(["wk-1"], store._leases))

    await fill(store, queued=2000)

    assert steps(Claim(["wk-1"], store._leases)) <= few + 2


@pytest.mark.parametrize("look", [_decisions.expire, _decisions.renew])
async def test_a_look_at_the_leases_costs_the_same_however_many_are_held(store, steps, look):
    """Those that are not due are not looked at."""
    await fill(store, held=10)
    few = steps(lambda view: look(view, store._leases))

    await fill(store, held=1000)

    assert steps(lambda view: look(view, store._leases)) <= few + 2


async def test_a_dead_process_costs_what_it_held(store, steps):
    """And not what the others hold."""
    gone = Owner("here", "boot", 1, "1")
    await fill(store, held=10)
    few = steps(lambda view: _decisions.expire(view, store._leases, dead=[gone]))

    await fill(store, held=1000)

    assert steps(lambda view: _decisions.expire(view, store._leases, dead=[gone])) <= few + 2


async def test_a_number_for_a_span_costs_the_same_however_many_there_are(store, steps, log):
    """The highest of its rollout is the last of an index."""
    one = await store.start_rollout(1)
    pair = [(one.rollout_id, one.attempt_id)]
    ids = {"rollout_id": one.rollout_id, "attempt_id": one.attempt_id, "name": "s", "started_at": 1, "ended_at": 2}
    await store.add_many_spans([SpanRecorded(**ids, span_id=f"sp-{n}") for n in range(10)])
    few = steps(lambda view: _adding.numbered(view, pair, store._leases.owner))

    await store.add_many_spans([SpanRecorded(**ids, span_id=f"sp-{n}") for n in range(10, 1000)])

    assert steps(lambda view: _adding.numbered(view, pair, store._leases.owner)) <= few + 2
