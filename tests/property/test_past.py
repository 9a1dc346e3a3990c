"""A log as it was: whatever happened since, it is the log that stood there."""

import asyncio
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from agl_core.errors import AglError
from agl_core.events import Component, MetricsLogged, RewardWithdrawn, RunFinished, RunStarted
from agl_core.log import SqliteLog, assemble, stored
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.resources import PromptTemplate
from agl_core.store import Store

TABLES = [table for projection in CORE for table in projection.tables]
WHOSE = Component(name="one")
DEEDS = ("enqueue", "take", "reward", "withdraw", "finish", "fail", "publish", "promote", "cancel", "delete", "run")
history = st.lists(st.tuples(st.sampled_from(DEEDS), st.integers(0, 5)), min_size=3, max_size=12)


def told(log):
    """All that its tables say, and the facts they say it of."""
    return {
        "events": [record.id for record in log.read()],
        **{table: sorted(log.rows(f"select * from {table}"), key=repr) for table in TABLES},  # noqa: S608 - ours
    }


class Story:
    """Somebody does things to a store; what cannot be done as things stand is left."""

    def __init__(self, log, store):
        self.log, self.store = log, store
        self.rollouts, self.taken, self.bundles = [], [], []

    def happen(self, deeds):
        """One after the other; tells when each was done."""
        for name, which in (("enqueue", 1), ("take", 0), *deeds):
            with suppress(AglError):
                asyncio.run(self._do(name, which))
            yield

    async def _do(self, name, which):  # noqa: C901 - a case for each
        match name, self.rollouts, self.taken, self.bundles:
            case "enqueue", *_:
                self.rollouts.append((await self.store.enqueue_rollout({"n": which})).rollout_id)
            case "take", *_:
                if taken := await self.store.dequeue_rollout(f"wk-{which % 2}"):
                    self.taken.append(taken)
            case "reward", _, [*_, one], _:
                await self.store.add_reward(one.rollout_id, float(which), attempt_id=one.attempt_id)
            case "withdraw", *_:
                for id_, of in self.log.rows("select id, rollout_id from rewards where withdrawn = 0 limit 1"):
                    self.say(f"rollout/{of}", RewardWithdrawn(rollout_id=of, reward=id_, why="a mistake"))
            case (("finish" | "fail"), _, [*_, one], _):
                await self.store.finish_attempt(one.attempt, "completed" if name == "finish" else "agent_raised")
            case "publish", _, _, bundles:
                parent = bundles[-1] if bundles and which % 2 else None
                bundles.append(await self.store.publish({"prompt": PromptTemplate(f"Say {which}.")}, parent=parent))
            case "promote", _, _, [first, *_]:
                await self.store.promote(first, why=str(which))
            case "cancel", [*_, one], _, _:
                await self.store.cancel_rollout(one)
            case "delete", [one, *_], _, _:
                await self.store.delete_rollout(one)
            case "run", *_:
                run_id = f"run-{self.log.head()}"
                said = [MetricsLogged(run_id=run_id, step=which, metrics={"reward": 0.5}), RunFinished(run_id=run_id)]
                self.say(f"run/{run_id}", RunStarted(run_id=run_id, agent=WHOSE, algorithm=WHOSE), *said[which % 2 :])

    def say(self, stream, *events):
        """In one transaction."""
        self.log.append([Draft(stream=stream, event=event) for event in events])


@settings(max_examples=5)
@given(deeds=history, data=st.data())
def test_a_past_is_what_the_log_was(deeds, data):
    """At every position where it once ended, in whatever order they are asked for."""
    with SqliteLog(":memory:", projections=CORE) as log, closing(Store(log)) as store:
        story = Story(log, store)
        then = {log.head(): told(log) for _ in story.happen(deeds)}

        for position in data.draw(st.permutations(sorted(then))):
            assert told(log.at(position)) == then[position]


@settings(max_examples=2)
@given(deeds=history)
def test_a_past_is_a_log_that_was_cut_there(deeds):
    """Also amid a transaction: the same facts in a file of their own, folded from the first."""
    with SqliteLog(":memory:", projections=CORE) as log, closing(Store(log)) as store, TemporaryDirectory() as folder:
        story = Story(log, store)
        for _ in story.happen(deeds):
            pass
        for position in {1, log.head() // 2, log.head() - 1}:
            path = Path(folder, f"{position}.db")
            assemble(path, islice(stored(log), position), projections=CORE)

            with closing(SqliteLog(path, readonly=True)) as cut:
                assert told(log.at(position)) == told(cut)
