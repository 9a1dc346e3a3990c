"""Reactions are pure: what they decide is a function of the facts they heard, told without a run."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.algorithm import Following, PromoteBest, StopEarly, react
from agl_core.algorithm._reaction import unwritten
from agl_core.errors import BadValue
from agl_core.events import (
    Component,
    MetricsLogged,
    OutcomesRead,
    PolicyPromoted,
    PolicyUpdated,
    ResourcesPromoted,
    RewardGiven,
    RewardWithdrawn,
    RolloutEnqueued,
    RolloutFinished,
    RunConfig,
    RunStarted,
    RunStopAsked,
    Target,
)
from agl_core.record import Record

RUN = "run-1"


def story(*events, run_id=RUN):
    """The events as records of a run, one after the other; a pair is an event and its key."""
    told = []
    for position, given_ in enumerate(events, 1):
        event, key = given_ if isinstance(given_, tuple) else (given_, None)
        of = {"position": position, "id": f"id-{position}", "version": position, "correlation_id": run_id, "key": key}
        told.append(Record(**of, stream=f"run/{run_id}", event=event, actor="test", occurred_at=0, recorded_at=0))
    return told


def read(value, *, step=0, metric="val/reward"):
    """A reading of the metric."""
    return MetricsLogged(run_id=RUN, step=step, metrics={metric: value, "other": 1.0})


def readings(*values):
    """One at each step."""
    return story(*(read(value, step=step) for step, value in enumerate(values)))


ROLLOUTS = count()


def tried(bundle, rewards, *, group, mode="val", exit_status="completed"):
    """A round of rollouts with a bundle, a task each, to its reading."""
    events = []
    for task, reward in rewards.items():
        rollout_id = f"ro-{next(ROLLOUTS)}"
        at = {"rollout_id": rollout_id}
        of = {"resources_id": bundle, "resources_version": 1, "group": group, "run_id": RUN}
        events.append(RolloutEnqueued(**at, input=task, task_id=task, mode=mode, **of))
        if reward is not None:
            target = Target(kind="rollout", id=rollout_id)
            events.append(RewardGiven(**at, attempt_id="at-1", target=target, value=reward, judge="agent"))
        status = "succeeded" if exit_status == "completed" else "failed"
        events.append(RolloutFinished(**at, status=status, exit_status=exit_status, attempt_id="at-1"))
    return [*events, (OutcomesRead(run_id=RUN, as_of=10**9), group)]


def promoted(*rounds):
    """The bundles that are promoted, in turn."""
    decided = react(PromoteBest(), story(*(event for events in rounds for event in events)), run_id=RUN)
    assert all(draft.stream == f"resources/{draft.event.resources_id}" for draft in decided)
    return [draft.event.resources_id for draft in decided]


# --- stop early


def test_a_metric_that_gains_nothing_any_more_stops_the_run():
    """After as many readings as patience has, it says which was the best; once."""
    asked = react(StopEarly(patience=2), readings(0.1, 0.5, 0.4, 0.5, 0.3, 0.2), run_id=RUN)

    (draft,) = asked
    assert draft.stream == f"run/{RUN}"
    assert draft.event == RunStopAsked(
        run_id=RUN, by="stop_early", why="val/reward gained nothing in 2 readings: 0.5 at step 1 is still the best"
    )
    assert (draft.key, draft.causation_id, draft.actor) == (f"reaction/{RUN}/stop_early/4/0", "id-4", "stop_early 1")


@pytest.mark.parametrize(
    ("reaction", "values"),
    [
        (StopEarly(patience=2), (0.1, 0.2, 0.2, 0.3, 0.3, 0.4)),
        (StopEarly(patience=3), (0.5, 0.4, 0.4)),
        (StopEarly(patience=1, falls=True), (0.5, 0.4, 0.3)),
        (StopEarly(patience=1, metric="val/loss"), (0.5, 0.4, 0.3)),
    ],
)
def test_a_metric_that_still_gains_stops_nothing(reaction, values):
    """Nor does one that is better when it falls, one that is read too seldom, or another one."""
    assert react(reaction, readings(*values), run_id=RUN) == []


def test_a_gain_below_the_least_one_is_none():
    """However often it comes."""
    slow = [0.5 + step / 1000 for step in range(4)]

    (draft,) = react(StopEarly(patience=3, min_delta=0.01), readings(*slow), run_id=RUN)

    assert draft.event.why == "val/reward did not gain more than 0.01 in 3 readings: 0.5 at step 0 is still the best"


def test_who_was_asked_to_stop_is_not_asked_again():
    """Whoever it was."""
    asked = RunStopAsked(run_id=RUN, why="enough", by="a person")

    assert react(StopEarly(patience=1), story(read(0.5), asked, read(0.4), read(0.3)), run_id=RUN) == []


@pytest.mark.parametrize("options", [{"patience": 0}, {"min_delta": -1.0}])
def test_an_option_that_makes_no_sense_is_refused(options):
    """Before a run begins."""
    with pytest.raises(BadValue, match="stop_early"):
        StopEarly(**options)


# --- promote the best


def test_the_bundle_that_earned_most_is_promoted():
    """The first that was tried, and each that beats the best before; the others not."""
    found = promoted(
        tried("rs-a", {"t1": 0.5, "t2": 0.5}, group="g1"),
        tried("rs-b", {"t1": 0.2, "t2": 0.4}, group="g2"),
        tried("rs-c", {"t1": 0.4, "t2": 0.8}, group="g3"),
        tried("rs-d", {"t1": 0.6, "t2": 0.6}, group="g4"),
    )

    assert found == ["rs-a", "rs-c"]


def test_bundles_are_compared_on_the_tasks_that_both_were_tried_on():
    """One that was tried on easier tasks, or on fewer, has not beaten anything; one on more has, where it did."""
    found = promoted(
        tried("rs-a", {"t1": 0.5, "t2": 0.5}, group="g1"),
        tried("rs-easier", {"t3": 1.0, "t4": 1.0}, group="g2"),
        tried("rs-fewer", {"t1": 1.0}, group="g3"),
        tried("rs-more", {"t1": 0.6, "t2": 0.6, "t5": 0.0}, group="g4"),
    )

    assert found == ["rs-a", "rs-more"]


def test_what_is_masked_or_unscored_is_no_zero():
    """It leaves a task untried."""
    found = promoted(
        tried("rs-a", {"t1": 0.5, "t2": None}, group="g1"),
        tried("rs-b", {"t1": 0.1, "t2": 0.9}, group="g2"),
        tried("rs-c", {"t1": 0.9}, group="g3", exit_status="worker_lost"),
        tried("rs-d", {"t1": 0.9}, group="g4", mode="train"),
    )

    assert found == ["rs-a"]


def test_a_zero_that_the_run_gives_counts():
    """Its failure policy stands in `run.started`."""
    config = RunConfig(failures={"tool_failed": "zero"})
    started = RunStarted(run_id=RUN, agent=Component(name="a"), algorithm=Component(name="b"), config=config)

    found = promoted(
        [started],
        tried("rs-a", {"t1": None}, group="g1", exit_status="tool_failed"),
        tried("rs-b", {"t1": 0.1}, group="g2"),
    )

    assert found == ["rs-a", "rs-b"]


def test_a_reward_that_was_taken_back_counts_for_nothing():
    """The one before it does."""
    (enqueued, given, finished, read) = tried("rs-b", {"t1": 0.9}, group="g2")
    first = tried("rs-a", {"t1": 0.5}, group="g1")
    withdrawn = RewardWithdrawn(rollout_id=given.rollout_id, reward=f"id-{len(first) + 2}", why="wrong")

    assert promoted(first, [enqueued, given, withdrawn, finished, read]) == ["rs-a"]


def test_weights_are_promoted_by_the_metric():
    """Those that spoke when it was read, when they beat those before."""
    spoken = [PolicyUpdated(run_id=RUN, policy="policy", version=n, checkpoint=f"b2:{n}") for n in range(3)]

    decided = react(
        PromoteBest(),
        story(read(0.9), spoken[0], read(0.2), spoken[1], read(0.5), spoken[2], read(0.4), read(0.5)),
        run_id=RUN,
    )

    assert [(draft.event.version, draft.event.value) for draft in decided] == [(0, 0.2), (1, 0.5)]
    assert decided[1].event.why == "val/reward 0.5, and 0.2 before"
    assert {draft.stream for draft in decided} == {f"run/{RUN}"}


# --- what all of them promise


EVENTS = st.one_of(
    st.builds(read, st.floats(-1, 1), step=st.integers(0, 9)),
    st.integers(0, 9).map(lambda n: PolicyUpdated(run_id=RUN, policy="policy", version=n, checkpoint=f"b2:{n}")),
    st.tuples(st.builds(OutcomesRead, run_id=st.just(RUN), as_of=st.integers(0, 99)), st.sampled_from(["g1", "g2"])),
)  # fmt: skip
ROUNDS = st.builds(
    tried,
    st.sampled_from(["rs-a", "rs-b", "rs-c"]),
    st.dictionaries(st.sampled_from(["t1", "t2"]), st.none() | st.floats(0, 1), min_size=1),
    group=st.sampled_from(["g1", "g2"]),
)
STORIES = st.lists(ROUNDS | EVENTS.map(lambda event: [event]), max_size=12).map(
    lambda parts: story(*(event for part in parts for event in part))
)
REACTIONS = st.sampled_from([StopEarly(patience=1), StopEarly(patience=2, falls=True), PromoteBest()])


def kept(reaction, records):
    """What a log keeps of the records and of what is decided, each decision right behind its cause."""
    told, following = [], Following(reaction, RUN, reaction.name)

    def write(drafts):
        told.extend(unwritten(drafts))
        return told[-len(drafts) :]

    for record in records:
        told.append(record)
        following.hear(record, write)
    return told, following.state


@given(REACTIONS, STORIES, st.integers(0, 40))
def test_folded_in_pieces_it_decides_the_same(reaction, records, at):
    """Killed anywhere and resumed, with its decisions so far in the log: the same ones, under the same keys."""
    whole, state = kept(reaction, records)
    before, _ = kept(reaction, records[:at])
    written = {record.key: record for record in before if (record.key or "").startswith("reaction/")}
    following, again = Following(reaction, RUN, reaction.name), []

    def write(drafts):
        again.extend(drafts)
        return [written.get(draft.key) or record for draft, record in zip(drafts, unwritten(drafts), strict=True)]

    for record in [*before, *records[at:]]:
        following.hear(record, write)

    assert following.state == state
    decided = [record for record in whole if (record.key or "").startswith("reaction/")]
    assert [(draft.key, draft.event) for draft in again] == [(record.key, record.event) for record in decided]
    assert len({draft.key for draft in again}) == len(again)


@given(REACTIONS, STORIES)
def test_what_is_decided_changes_nothing_else(reaction, records):
    """Asked twice, it says the same; it has no memory but its state."""
    assert react(reaction, records, run_id=RUN) == react(reaction, records, run_id=RUN)


def test_another_runs_facts_are_not_heard():
    """Of a log with several."""
    assert react(StopEarly(patience=1), [*readings(0.5, 0.4)], run_id="run-2") == []


def test_a_decision_is_folded_before_the_next_fact():
    """Else it would be made again."""
    again = (OutcomesRead(run_id=RUN, as_of=9), "g2")

    decided = react(PromoteBest(), story(*tried("rs-a", {"t1": 0.5}, group="g1"), again), run_id=RUN)

    assert [type(draft.event) for draft in decided] == [ResourcesPromoted]
    assert PolicyPromoted not in {type(draft.event) for draft in decided}
