"""`agl explain` of a run that was real: rows are made again, and what is printed is added again."""

import asyncio
import json
import re
from dataclasses import dataclass
from math import fsum
from pathlib import Path

import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.cli import agl as command
from agl_core.events import RewardGiven, Target
from agl_core.testing import ScriptedModel

pytest.importorskip("agl_rewards")
pytest.importorskip("agl_triplets")

RULES = [
    {"rule": "final"},
    {"rule": "sum"},
    {"rule": "per_call", "otherwise": "final"},
    {"rule": "discounted", "gamma": 0.9},
    {"rule": "per_agent", "otherwise": "final"},
    {"rule": "group_relative"},
    {"rule": "group_relative", "of": "sum", "normalise_std": False},
    {"rule": "group_relative", "advantage": "rloo"},
    {"rule": "group_relative", "advantage": "reinforce++"},
    {"rule": "final", "reward": {"primary": 0.7, "style": 0.3}},
]
"""Each made a batch; before them one by the final reward, without a rule."""
TERM = re.compile(r"^ +(\S+) \* (\S+)  ", re.MULTILINE)


@dataclass
class Ran:
    """What is in the log."""

    path: Path
    run_id: str
    rollouts: list[str]
    rewards: dict[str, str]
    """A word for a reward to its id."""


@agl.rollout
async def team(task: dict, llm: agl.LLM) -> float:
    """A planner and a writer, and a tool between them."""
    import httpx

    key = {"authorization": f"Bearer {llm.api_key}"}
    async with httpx.AsyncClient(base_url=llm.endpoint, headers=key) as client:

        async def ask(words):
            body = {"model": llm.model, "messages": [{"role": "user", "content": words}]}
            (await client.post("/chat/completions", json=body)).raise_for_status()

        with agl.agent("planner"):
            await ask("Plan.")
        with agl.agent("writer"):
            await ask("Write.")
            await ask("Shorten.")
    agl.emit_reward({"primary": 0.25, "style": 0.5})
    return float(task["worth"])


class Learning:
    """One round, rewards of all kinds, a batch by each rule; then more rewards, that come too late."""

    name = "learning"

    def __init__(self):
        self.rewards = {}

    async def run(self, run):
        """As an algorithm does."""
        outcomes = await run.rollouts([{"worth": 1}], repeat=3)
        first = outcomes[0].rollout_id
        (trace,) = run.store.ask.traces([first])
        calls = [call.call_id for call in trace.calls]
        await self._judge(run, first, "tests", 0.75, Target(kind="call", id=calls[1]))
        await self._judge(run, first, "wrong", 9.0, None)
        await run.store.withdraw_reward(first, self.rewards["wrong"], "judged the wrong rollout")
        await self._judge(run, first, "editor", 0.5, Target(kind="agent", id="writer"))
        await self._judge(run, first, "nobody", 0.5, Target(kind="agent", id="critic"))
        await self._judge(run, outcomes[1].rollout_id, "strict", 0.125, None)
        run.adapt(outcomes, "triplets")
        for told in RULES:
            run.adapt(outcomes, "triplets", level="transition", credit={"name": "rewards", **told})
        await self._judge(run, first, "late", 7.0, None)
        await run.store.withdraw_reward(first, self.rewards["tests"], "the tests were broken")

    async def _judge(self, run, rollout_id, judge, value, target):
        record = await run.store.add_reward(rollout_id, value, judge=judge, target=target)
        self.rewards[judge] = record.id


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run of three rollouts, in nine batches."""
    path = tmp_path_factory.mktemp("ran") / "log.db"
    learning = Learning()
    with ScriptedModel("said", owner="vllm") as model:
        trainer = agl.Trainer(algorithm=learning, models={"policy": f"{model.url}#policy"}, store=str(path))
        trainer.fit(team, train_dataset=[{"worth": 1}])
    with agl.open_log(str(path), readonly=True) as log:
        rollouts = [id_ for (id_,) in log.rows("select rollout_id from rollouts order by position")]
        run_id = log.rows("select run_id from runs")[0][0]
    return Ran(path, run_id, rollouts, learning.rewards)


@pytest.fixture
def explain(ran):
    """Type `agl explain`; what came of it."""
    return lambda *arguments, log=ran.path: CliRunner().invoke(
        command, ["explain", *map(str, arguments), "--log", str(log)]
    )


def parsed(result):
    """The document, of a command that went well."""
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def calls_of(batch):
    """Every call that is in a row."""
    return [call for rollout in batch["explained"] for row in rollout["rows"] for call in row["calls"]]


def test_every_batch_comes_out_as_it_was_recorded(ran, explain):
    """Though rewards came since, and one was withdrawn: a batch is of the log as it stood."""
    told = parsed(explain(ran.rollouts[0], "--json"))

    assert [batch["agrees"] for batch in told["batches"]] == [True] * (1 + len(RULES))
    assert [batch["rule"] for batch in told["batches"]] == ["final", *(told["rule"] for told in RULES)]


def test_every_number_adds_up_again(ran, explain):
    """By each rule, of each call: the sum of its terms is what the row has.

    The terms are rewards as they are in the log, or what another call earned, whose own sum is told too.
    """
    with agl.open_log(str(ran.path), readonly=True) as log:
        facts = {record.id: record.event for record in log.read() if isinstance(record.event, RewardGiven)}

    for rollout_id in ran.rollouts:
        for batch in parsed(explain(rollout_id, "--json"))["batches"]:
            earned = {call["call_id"]: call["credit"] for call in calls_of(batch)}
            for call in calls_of(batch):
                terms = call["terms"]
                assert fsum(term["weight"] * term["value"] for term in terms) == call["credit"] == call["in_row"]
                assert terms
                given = [one for one in terms if one["call_id"] is None]
                assert [(facts[one["reward_id"]].value, facts[one["reward_id"]].judge) for one in given] == [
                    (one["value"], one["judge"]) for one in given
                ]
                assert all(one["value"] == earned[one["call_id"]] for one in terms if one["call_id"] is not None)


def test_what_is_printed_adds_up_again(ran, explain):
    """The text has the whole numbers, and not four digits of them."""
    told = parsed(explain(ran.rollouts[0], "--json"))
    text = explain(ran.rollouts[0]).output

    for block in re.split(r"  earned ", text)[1:]:
        if "the sum of" in block.partition("\n")[0]:
            products = [float(weight) * float(value) for weight, value in TERM.findall(block.partition("    call ")[0])]
            assert fsum(products) == float(block.split()[0])
    assert len(re.findall("same rows as were recorded", text)) == len(told["batches"])


def test_every_call_is_in_a_row_or_has_a_reason(ran, explain):
    """Of each rollout, in each batch; a reason is in words."""
    for batch in parsed(explain(ran.rollouts[0], "--json"))["batches"]:
        (rollout,) = batch["explained"]
        assert len(calls_of(batch)) + len(rollout["dropped"]) == 3
        assert all(dropped["means"] for dropped in rollout["dropped"])


def test_rewards_that_do_not_count_say_why(ran, explain):
    """Withdrawn, too late, for nobody, of another name; and one that was withdrawn only since still counts."""
    batch = parsed(explain(ran.rollouts[0], "--json"))["batches"][4]
    (rollout,) = batch["explained"]
    standing = {one["reward_id"]: (one["standing"], one["why"]) for one in rollout["rewards"]}
    words = {judge: standing[id_] for judge, id_ in ran.rewards.items() if id_ in standing}

    assert batch["rule"] == "discounted"
    assert words["wrong"] == ("withdrawn", "judged the wrong rollout")
    assert words["late"][0] == "late"
    assert words["nobody"][0] == "unknown_target"
    assert words["editor"] == ("counts", None)
    assert words["tests"][0] == "counts"
    assert "the tests were broken" in words["tests"][1]
    names = {one["name"]: one["standing"] for one in rollout["rewards"]}
    assert names["style"] == "other_name"
    assert [one["standing"] for one in rollout["rewards"] if one["value"] == 0.25] == ["superseded"]


def test_a_call_is_explained_alone(ran, explain):
    """Its row, its credit, and nothing of its neighbours."""
    told = parsed(explain(ran.rollouts[0], "--json"))
    id_ = calls_of(told["batches"][1])[1]["call_id"]

    alone = parsed(explain(id_, "--json"))

    assert alone["kind"] == "call"
    assert {call["call_id"] for batch in alone["batches"] for call in calls_of(batch)} == {id_}


def test_a_call_alone_tells_what_came_after_it(ran, explain):
    """What it has a share of: each of those calls with its own sum, down to the rewards."""
    batch = parsed(explain(ran.rollouts[0], "--credit", "discounted", "--set", "credit.gamma=0.5", "--json"))
    planner, writer, last = (call["call_id"] for call in calls_of(batch["batches"][0]))

    asked = (writer, "--credit", "discounted", "--set", "credit.gamma=0.5")
    (rollout,) = parsed(explain(*asked, "--json"))["batches"][0]["explained"]
    (call,) = rollout["rows"][0]["calls"]
    (after,) = rollout["chain"]

    assert [term["call_id"] for term in call["terms"]] == [None, last]
    assert (after["call_id"], after["credit"]) == (last, call["terms"][1]["value"])
    assert all(term["reward_id"] for term in after["terms"])
    assert planner not in str(rollout["chain"])
    assert "what came after: 1 call" in explain(*asked).output
    assert f"call {last} earned it" in explain(*asked).output


def test_a_reward_counts_for_the_calls_that_lead_to_it(ran, explain):
    """The writer's first call has a share of what its second earned; the planner is in an episode of its own."""
    told = explain(ran.rollouts[0], "--credit", "discounted", "--json")

    rewards = parsed(told)["batches"][0]["explained"][0]["rewards"]

    assert {one["judge"]: one["calls"] for one in rewards if one["counts"]} == {"agent": 3, "editor": 2, "tests": 1}


def test_a_reward_is_explained_by_its_id(ran, explain):
    """Its rollout is; in the table it is the first, however short that is."""
    id_ = ran.rewards["late"]

    told = parsed(explain(id_, "--json"))
    text = explain(id_[:-2], "--limit", "1").output

    assert (told["kind"], told["id"]) == ("reward", id_)
    assert {rollout["rollout_id"] for batch in told["batches"] for rollout in batch["explained"]} == {ran.rollouts[0]}
    table = text.partition("  rewards\n")[2].splitlines()
    assert id_ in table[1]
    assert table[2].endswith("rewards: --limit 0 shows all")


def test_long_lists_are_cut_and_say_so(ran, explain):
    """A batch, a row, a sum, and the rewards: each so many, and all where that is asked for."""
    batch_id = parsed(explain(ran.rollouts[0], "--json"))["batches"][-3]["batch_id"]

    short, whole = explain(batch_id, "--limit", "1").output, explain(batch_id, "--limit", "0").output

    assert "1 of 3 rollouts: --limit 0 shows all" in short
    assert "1 of 3 calls in rows: --limit 0 shows all" in short
    assert "and 2 more, which add" in short
    assert re.search(r"1 of \d+ rewards: --limit 0 shows all", short)
    assert [rollout_id in short for rollout_id in ran.rollouts] == [True, False, False]
    assert "--limit 0" not in whole
    assert all(rollout_id in whole for rollout_id in ran.rollouts)


def test_a_batch_is_explained_whole(ran, explain):
    """All of its rollouts."""
    batch_id = parsed(explain(ran.rollouts[0], "--json"))["batches"][0]["batch_id"]

    told = parsed(explain(batch_id, "--json"))

    assert [rollout["rollout_id"] for rollout in told["batches"][0]["explained"]] == ran.rollouts
    assert len(calls_of(told["batches"][0])) == 9


def test_it_can_be_asked_how_else_it_would_have_been(ran, explain):
    """By another rule, with its options, and of the log as it stood elsewhere; nobody formed such a batch."""
    discounted = parsed(explain(ran.rollouts[0], "--credit", "discounted", "--set", "credit.gamma=0.5", "--json"))
    now = parsed(explain(ran.rollouts[0], "--adapter", "rewards", "--as-of", "now", "--json"))
    there = parsed(explain(ran.rollouts[0], "--adapter", "rewards", "--as-of", head(ran), "--json"))

    (batch,) = discounted["batches"]
    assert (batch["batch_id"], batch["agrees"], batch["rule"], batch["adapter"]) == (
        None,
        None,
        "discounted",
        "triplets",
    )
    assert 0.5 in {term["weight"] for call in calls_of(batch) for term in call["terms"]}
    assert {call["credit"] for call in calls_of(now["batches"][0])} == {7.0}
    assert now == there


def head(ran):
    """The last position."""
    with agl.open_log(str(ran.path), readonly=True) as log:
        return log.head()


@pytest.mark.parametrize("name", ["run.parquet", "run.duckdb", "run.jsonl"])
def test_an_export_is_explained_too(ran, explain, tmp_path, name):
    """It is a log, for reading."""
    exported = tmp_path / name
    assert CliRunner().invoke(command, ["log", "export", str(exported), "--log", str(ran.path)]).exit_code == 0

    assert parsed(explain(ran.rollouts[0], "--json", log=exported)) == parsed(explain(ran.rollouts[0], "--json"))


def test_explaining_leaves_the_log_as_it_was(ran, explain):
    """Nothing a person looks at may change what is looked at."""
    before = head(ran)

    explain(ran.rollouts[0])

    assert head(ran) == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["ro-0123"], "UNKNOWN_ID"),
        (["ca-0123"], "UNKNOWN_ID"),
        (["ba-0123"], "UNKNOWN_ID"),
        (["nothing"], "UNKNOWN_ID"),
        (["ro-", "--credit", "best"], "BAD_VALUE"),
        (["ro-", "--adapter", "tripletz"], "UNKNOWN_NAME"),
        (["ro-", "--set", "gamma"], "BAD_VALUE"),
        (["ro-", "--set", "gamma=2"], "BAD_VALUE"),
        (["ro-", "--as-of", "0"], "BAD_VALUE"),
        (["ro-", "--as-of", "99999"], "BAD_VALUE"),
        (["ro-", "--as-of", "1"], "BAD_VALUE"),
        (["ro-", "--as-of", "then"], "BAD_VALUE"),
        (["run-0123"], "BAD_VALUE"),
    ],
)
def test_what_cannot_be_explained_is_refused_with_a_code(ran, explain, arguments, code):
    """No traceback, and the cure."""
    what, *options = arguments
    result = explain(ran.rollouts[0] if what == "ro-" else what, *options, "--json")

    assert result.exit_code == 1
    assert json.loads(result.stderr)["error"]["code"] == code
    assert result.stdout == ""


def test_a_rollout_of_no_batch_has_its_final_reward(tmp_path, explain):
    """Outside a run, nobody forms batches."""

    async def lone():
        store = agl.open_store(str(tmp_path / "lone.db"))
        (rollout_id,) = await store.enqueue([agl.EnqueueRolloutRequest(input={})])
        await store.add_reward(rollout_id, 0.5)
        store.close()
        return rollout_id

    told = parsed(explain(asyncio.run(lone()), "--json", log=tmp_path / "lone.db"))

    (batch,) = told["batches"]
    assert (batch["batch_id"], batch["rule"], batch["size"]["rollouts"]) == (None, "final", 1)
    assert [one["standing"] for one in batch["explained"][0]["rewards"]] == ["masked"]
