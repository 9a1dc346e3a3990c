"""`agl explain` of logs in which something is missing, has changed, or is other than usual."""

from __future__ import annotations

import asyncio
import inspect
import json
import re

import pytest

from agl_core.cli._explaining_reasons import BEGAN, DROPPED, UNMATCHED, in_words
from agl_core.clock import Still
from agl_core.events import (
    BatchFormed,
    CallRecorded,
    Choice,
    Component,
    Message,
    ModelCall,
    RewardGiven,
    RewardWithheld,
    RunConfig,
    RunStarted,
    Target,
)
from agl_core.ids import content_id, new_id
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.run import Failures, Run, Selection
from agl_core.store import EnqueueRolloutRequest, Store

pytest.importorskip("agl_rewards")
Row = pytest.importorskip("agl_triplets").Row


@pytest.fixture
def scene(tmp_path):
    """Builds a log: a run with these rollouts, and what is done to its store before it is closed."""
    path = tmp_path / "scene.db"

    def build(*ends, then, config=None):
        with SqliteLog(path, projections=CORE, clock=Still()) as log:
            store = Store(log)
            asyncio.run(_happen(store, ends, config or RunConfig(), then))
            store.close()
            rollouts = [id_ for (id_,) in log.rows("select rollout_id from rollouts order by position")]
        return path, rollouts

    return build


class Nobody:
    """Serves no model."""

    def initial(self):
        """None."""
        return {}


async def _happen(store, ends, config, then):
    run_id, component = new_id("run"), Component(name="agents:solve")
    started = RunStarted(run_id=run_id, agent=component, algorithm=component, config=config)
    store.log.append([Draft(stream=f"run/{run_id}", event=started, correlation_id=run_id)])
    requests = [EnqueueRolloutRequest(input={}, run_id=run_id, group="g", repeat=n) for n, _ in enumerate(ends)]
    ids = await store.enqueue(requests)
    for exit_status, reward, agents in ends:
        taken = await store.dequeue_rollout("wk-a")
        for agent in agents:
            store.log.append([Draft(stream=f"rollout/{taken.rollout_id}", event=_call(taken, agent))])
        if reward is not None:
            await store.add_reward(taken.rollout_id, reward, attempt_id=taken.attempt_id)
        await store.finish_attempt(taken.attempt, exit_status)
    selection, failures = Selection.of(config.select), Failures.of(config.failures)
    run = Run(id=run_id, store=store, plugins=Plugins.load(), serving=Nobody(), selection=selection, failures=failures)
    then(run, [failures.outcome(outcome) for outcome in store.ask.outcomes(ids)])


def _call(taken, agent):
    answer = Choice(message=Message(role="assistant", content="42"), token_ids=(5, 6), logprobs=(-0.1, -0.2))
    return CallRecorded(
        call_id=new_id("ca"), rollout_id=taken.rollout_id, attempt_id=taken.attempt_id, agent=agent, started_at=0,
        latency=0.1, policy_version=3, role="judge" if agent == "judge" else "policy", call=ModelCall(
            model="policy", choices=(answer,), prompt_token_ids=(1, 2, 3), provenance="engine",
        ),
    )  # fmt: skip


def told(result, *, exit_code=0):
    """The document."""
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def forms(adapter, **options):
    """A batch by that adapter."""
    return lambda run, outcomes: run.adapt(outcomes, adapter, **options)


def test_rows_that_come_out_other_than_recorded_are_told(ask, story):
    """The batch of this log was never made by its adapter: the numbers are shown, and not as what was trained on."""
    result = ask("explain", story.good, "--log", story.path, "--json")

    (batch,) = told(result, exit_code=3)["batches"]
    assert batch["agrees"] is False
    assert "come out other than they were recorded" in result.stderr
    assert "NOT the rows that were recorded" in ask("explain", story.good, "--log", story.path).stdout


def test_the_selection_of_the_run_holds(ask, scene):
    """Calls that it leaves out are dropped as they were then, in words."""
    config = RunConfig(select={"agent": ("writer",)})
    path, (first,) = scene(("completed", 1.0, ["writer", "critic"]), config=config, then=forms("triplets", min_group=1))

    (batch,) = told(ask("explain", first, "--log", path, "--json"))["batches"]
    (rollout,) = batch["explained"]

    assert batch["agrees"] is True
    assert [call["credit"] for row in rollout["rows"] for call in row["calls"]] == [1.0]
    assert [(one["reason"], one["means"]) for one in rollout["dropped"]] == [
        ("other_agent", DROPPED["other_agent"]),
    ]


def test_a_zero_that_the_run_put_is_no_reward_of_anybody(ask, scene):
    """Its term has no event, and says why it is there."""
    config = RunConfig(failures={"timeout": "zero"})
    ends = ("timeout", None, ["writer"]), ("completed", 1.0, ["writer"])
    path, (late, _) = scene(*ends, config=config, then=forms("triplets"))

    (batch,) = told(ask("explain", late, "--log", path, "--json"))["batches"]
    (call,) = batch["explained"][0]["rows"][0]["calls"]
    (term,) = call["terms"]

    assert batch["agrees"] is True
    assert (batch["explained"][0]["treated"], batch["failures"]) == ("zero", {"timeout": "zero"})
    assert (call["credit"], term["reward_id"]) == (0.0, None)
    assert "nobody gave" in term["why"]
    assert "counted as zero" in ask("explain", late, "--log", path).stdout


def test_a_masked_rollout_says_how_it_ended(ask, scene):
    """Its calls are in no row, and its rewards do not count."""
    ends = ("agent_raised", 0.5, ["writer"]), ("completed", 1.0, ["writer"])
    path, (raised, _) = scene(*ends, then=forms("triplets", min_group=1))

    (rollout,) = told(ask("explain", raised, "--log", path, "--json"))["batches"][0]["explained"]

    assert rollout["mask"] == "agent_raised"
    assert [one["reason"] for one in rollout["dropped"]] == ["masked:agent_raised"]
    assert "agent_raised" in rollout["dropped"][0]["means"]
    assert [one["standing"] for one in rollout["rewards"]] == ["masked"]


def test_a_credit_adapter_alone_is_explained(ask, scene):
    """Its rows are credits: there are no tokens to tell of."""
    ends = ("completed", 0.0, ["writer"]), ("completed", 1.0, ["writer"])
    path, rollouts = scene(*ends, then=forms("rewards", rule="group_relative", normalise_std=False))

    (batch,) = told(ask("explain", rollouts[0], "--log", path, "--json"))["batches"]
    (call,) = batch["explained"][0]["rows"][0]["calls"]

    assert (batch["agrees"], batch["rule"], call["credit"]) == (True, "group_relative", -0.5)
    assert {term["rollout_id"] for term in call["terms"]} == set(rollouts)
    assert "earned -0.5 by group_relative" in ask("explain", rollouts[0], "--log", path).stdout


def test_a_call_that_became_no_row_shows_what_it_would_have_earned(ask, scene):
    """Its credit is one thing, whether its tokens can train another."""
    path, (first,) = scene(("completed", 0.5, ["writer"]), then=forms("triplets", min_group=2))

    (rollout,) = told(ask("explain", first, "--log", path, "--json"))["batches"][0]["explained"]

    assert [(one["reason"], one["credit"]) for one in rollout["dropped"]] == [("group_too_small", 0.5)]
    assert "it would have earned 0.5" in ask("explain", first, "--log", path).stdout


def test_calls_that_no_batch_looks_at_are_told(ask, scene):
    """A judge's is named, and explained by its id, too."""
    path, (first,) = scene(("completed", 0.5, ["writer", "judge"]), then=forms("triplets", min_group=1))

    (rollout,) = told(ask("explain", first, "--log", path, "--json"))["batches"][0]["explained"]
    (others,) = rollout["beside"]
    (alone,) = told(ask("explain", *others["calls"], "--log", path, "--json"))["batches"][0]["explained"]

    assert "made as judge" in others["why"]
    assert (alone["rows"], alone["dropped"], alone["beside"]) == ([], [], [others])
    assert "not looked at: 1 call, made as judge" in ask("explain", first, "--log", path).stdout


def test_rows_that_do_not_say_their_calls_leave_them_named(ask, scene):
    """A format of others has no room for ids: the calls are there all the same, and no credit is made up."""
    path, (first,) = scene(("completed", 0.5, ["writer"]), then=forms("tracer-triplets"))

    (batch,) = told(ask("explain", first, "--log", path, "--json"))["batches"]
    (rollout,) = batch["explained"]

    assert (batch["agrees"], rollout["rows"]) == (True, [])
    assert len(rollout["kept"]) == batch["size"]["kept"] == 1
    text = ask("explain", first, "--log", path).stdout
    assert "rows that do not say which calls they are made of, nor what each earned" in text


def test_a_judge_that_gave_no_number_is_told(ask, scene):
    """With why: it is not a zero."""

    def withheld(run, outcomes):
        (attempt,) = run.store.ask.attempts(outcomes[0].rollout_id).items
        event = RewardWithheld(
            rollout_id=attempt.rollout_id,
            attempt_id=attempt.attempt_id,
            judge="exact",
            code="JUDGE_FAILED",
            why="no 42",
        )
        run.store.log.append([Draft(stream=f"rollout/{attempt.rollout_id}", event=event)])

    path, (first,) = scene(("completed", 0.5, ["writer"]), then=withheld)

    rewards = told(ask("explain", first, "--log", path, "--json"))["batches"][0]["explained"][0]["rewards"]

    assert [(one["standing"], one["value"]) for one in rewards] == [("counts", 0.5), ("withheld", None)]
    assert "exact gave no number: JUDGE_FAILED: no 42" in ask("explain", first, "--log", path).stdout


@pytest.mark.slow
def test_a_long_rollout_is_explained_in_lines_not_in_pages(ask, scene):
    """Ten thousand calls, each scored: terms are as many as rewards and calls, and a screen shows some of them."""
    many = 10_000

    def scored(run, outcomes):
        (attempt,) = run.store.ask.attempts(outcomes[0].rollout_id).items
        calls = [_call(attempt, None) for _ in range(many)]
        rewards = [
            RewardGiven(
                rollout_id=attempt.rollout_id, target=Target(kind="call", id=one.call_id), value=1.0, judge="step"
            )
            for one in calls
        ]
        run.store.log.append([Draft(stream=f"rollout/{attempt.rollout_id}", event=one) for one in (*calls, *rewards)])

    path, (first,) = scene(("completed", None, []), then=scored)
    asked = ("explain", first, "--adapter", "rewards", "--credit", "discounted", "--log", path)

    (rollout,) = told(ask(*asked, "--json"))["batches"][0]["explained"]
    text = ask(*asked).output

    calls = [call for row in rollout["rows"] for call in row["calls"]]
    assert [call["credit"] for call in calls] == [float(many - place) for place in range(many)]
    assert sum(len(call["terms"]) for call in calls) == 2 * many - 1
    assert [one["calls"] for one in rollout["rewards"]] == [1 + place for place in range(many)]
    assert len(text.splitlines()) < 200
    assert f"20 of {many} calls in rows: --limit 0 shows all" in text


def formed_without_a_word(run, outcomes, *, adapter="triplets"):
    """A batch as logs had them before adapters' options and positions were recorded."""
    event = BatchFormed(
        run_id=run.id, batch_id=new_id("ba"), adapter=adapter, rollouts=tuple(one.rollout_id for one in outcomes),
        captured=1, kept=0, rows=0, dropped={"group_too_small": 1}, digest=content_id(b"[]"),
    )  # fmt: skip
    run.store.log.append([Draft(stream=f"run/{run.id}", event=event)])


def test_an_older_batch_is_made_again_with_what_is_usual(ask, scene):
    """And says that it is; if the rows are the same, they are."""
    path, (first,) = scene(("completed", 0.5, ["writer"]), then=formed_without_a_word)

    (batch,) = told(ask("explain", first, "--log", path, "--json"))["batches"]

    assert (batch["options"], batch["as_of"], batch["agrees"]) == (None, batch["position"] - 1, True)
    assert "not recorded" in ask("explain", first, "--log", path).stdout


def test_one_batch_that_cannot_be_made_again_leaves_the_others(ask, scene):
    """Its adapter is not installed: the command did its work in part."""

    def both(run, outcomes):
        formed_without_a_word(run, outcomes, adapter="their-own")
        run.adapt(outcomes, "triplets", min_group=1)

    path, (first,) = scene(("completed", 0.5, ["writer"]), then=both)
    result = ask("explain", first, "--log", path, "--json")

    theirs, ours = told(result, exit_code=3)["batches"]
    assert theirs["error"]["code"] == "UNKNOWN_NAME"
    assert ours["agrees"] is True
    assert "their-own" in result.stderr
    assert "cannot be made again" in ask("explain", first, "--log", path).stdout


def test_the_only_batch_that_cannot_be_made_again_is_an_error(ask, scene):
    """With its code, and nothing on stdout; another adapter can be asked."""
    path, (first,) = scene(
        ("completed", 0.5, ["writer"]), then=lambda run, found: formed_without_a_word(run, found, adapter="their-own")
    )

    result = ask("explain", first, "--log", path, "--json")
    other = ask("explain", first, "--log", path, "--json", "--adapter", "rewards")

    assert (result.exit_code, result.stdout) == (1, "")
    assert json.loads(result.stderr)["error"]["code"] == "UNKNOWN_NAME"
    assert told(other)["batches"][0]["rule"] == "final"


def test_reasons_are_in_words():
    """Every code of the adapters of ours; a plugin's own is left as it is."""
    from agl_triplets._unusable import Unusable

    codes = set(re.findall(r"`(\w+)`", Unusable.__doc__ or ""))

    assert codes <= DROPPED.keys()
    assert in_words("masked:cancelled") == "its rollout was called off"
    assert "timeout" in (in_words("masked:timeout") or "")
    assert in_words("masked:running") == "its rollout has not ended yet"
    assert in_words("their:own") is None
    assert {"unknown_target", "no_call", "not_policy", "call_failed"} <= UNMATCHED.keys()


def test_beginnings_are_in_words():
    """All that the documentation of a row names."""
    source = inspect.getsource(Row)
    (told,) = re.findall(r'began: str\n\s+"""(.*?)"""', source, re.DOTALL)

    codes = set(re.findall(r"`(\w+)`", told))

    assert "truncated" in codes
    assert codes <= BEGAN.keys()
