"""`agl judge`: old rollouts, new facts, each once; and `--judge` of a run."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.cli import agl as command
from agl_core.cli._named_components import named_judges
from agl_core.events import CallRecorded, Choice, Message, ModelCall, RewardGiven, RewardWithdrawn, RewardWithheld
from agl_core.testing import Asked, ScriptedModel


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch, tmp_path):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Three rollouts that have ended, right, wrong and without an expectation; one whose worker was lost, one open."""
    path = str(tmp_path / "log.db")

    async def fill() -> None:
        with agl.open_log(path) as opened:
            store = agl.Store(opened)
            for n, task in enumerate(({"answer": "4"}, {"answer": "5"}, {}, {"answer": "4"}, {"answer": "4"})):
                await _rollout(store, n, task)
            store.close()

    asyncio.run(fill())
    return path


async def _rollout(store: agl.Store, n: int, task: Any) -> None:
    rollout = await store.start_rollout(task, rollout_id=f"ro-{n}")
    said = Choice(message=Message(role="assistant", content="It is 4."))
    call = CallRecorded(
        call_id=f"ca-{n}", rollout_id=rollout.rollout_id, attempt_id=rollout.attempt_id,
        call=ModelCall(model="policy", choices=(said,)), started_at=1, latency=0.1,
    )  # fmt: skip
    from agl_core.recorder import Recorder

    await asyncio.wrap_future(Recorder(store.log).end_call(call, store.ask.admission(f"ro-{n}", rollout.attempt_id)))
    if n < 4:
        await store.finish_attempt(rollout.attempt, "completed" if n < 3 else "capture_lost")


def facts(log: str, *kinds: type) -> list[Any]:
    """Events of these types, in order."""
    with agl.open_log(log, readonly=True) as found:
        return [record.event for record in found.read(types=[kind.type for kind in kinds])]


def judge(log: str, *words: str) -> Any:
    """Type the command."""
    return CliRunner().invoke(command, ["judge", *words, "--log", log])


def told(log: str, *words: str) -> dict[str, Any]:
    """What it says to programs."""
    found: dict[str, Any] = json.loads(judge(log, *words, "--json").stdout)
    return found


def test_old_rollouts_are_judged_and_primary_stays(log):
    """The reward is called as the judge; who could not be judged is named, and makes the exit code 3."""
    done = judge(log, "numeric", "ro-0", "ro-1", "ro-2", "--json")

    found = json.loads(done.stdout)
    assert done.exit_code == 3
    assert (found["judged"], found["withheld"], found["mean"]) == (2, {"EXPECTED_MISSING": 1}, 0.5)
    assert [(one.rollout_id, one.name, one.value, one.judge) for one in facts(log, RewardGiven)] == [
        ("ro-0", "numeric", 1.0, "numeric 1"),
        ("ro-1", "numeric", 0.0, "numeric 1"),
    ]
    assert [(one.rollout_id, one.code) for one in facts(log, RewardWithheld)] == [("ro-2", "EXPECTED_MISSING")]


def test_all_of_the_log_is_judged_where_nothing_is_named(log):
    """But what is open, and what ended by what no policy caused."""
    found = told(log, "regex", "--pattern", "4")

    assert (found["judged"], found["left_out"]) == (3, {"capture_lost": 1, "open": 1})


def test_what_was_deleted_is_not_judged(log):
    """Named, it is said to be."""

    async def delete() -> None:
        with agl.open_log(log) as opened:
            store = agl.Store(opened)
            await store.delete_rollout("ro-0")
            store.close()

    asyncio.run(delete())

    assert told(log, "numeric", "ro-0", "ro-1")["left_out"] == {"deleted": 1}
    assert told(log, "numeric", "--as", "other")["judged"] == 1


def test_who_brings_a_judge_can_be_asked(log):
    """As of all that plugins register."""
    done = CliRunner().invoke(command, ["plugins", "why", "judge:numeric", "--json"])

    assert json.loads(done.stdout)["plugin"] == "builtin"


def test_the_same_judge_told_the_same_judges_once(log):
    """Told something else it is another one; what was withheld is tried again."""
    judge(log, "numeric", "ro-0", "ro-2")

    again, other = told(log, "numeric", "ro-0", "ro-2"), told(log, "numeric", "ro-0", "--tolerance", "1")

    assert (again["judged"], again["known"], again["withheld"]) == (0, 1, {"EXPECTED_MISSING": 1})
    assert (other["judged"], other["known"]) == (1, 0)
    assert len(facts(log, RewardGiven)) == 2


def test_replacing_withdraws_what_the_judge_gave_before(log):
    """Of that name, and with the reason."""
    judge(log, "numeric", "ro-0")
    judge(log, "numeric", "ro-0", "--as", "other")

    found = told(log, "numeric", "ro-0", "--tolerance", "1", "--replace")
    once_more = told(log, "numeric", "ro-0", "--tolerance", "1", "--replace")

    assert (found["judged"], found["withdrawn"], once_more["withdrawn"]) == (1, 1, 1)
    with agl.open_log(log, readonly=True) as opened:
        (trace,) = agl.Store(opened).ask.traces(["ro-0"])
    assert sorted(reward.given.name for reward in trace.rewards) == ["numeric", "other"]
    assert {one.why for one in facts(log, RewardWithdrawn)} == {"numeric 1 judged it anew"}


def test_a_judge_that_fails_withdraws_nothing(log):
    """What was there is better than nothing."""
    judge(log, "regex", "ro-2", "--pattern", "4")

    found = told(log, "regex", "ro-2", "--replace")

    assert (found["withheld"], found["withdrawn"]) == ({"EXPECTED_MISSING": 1}, 0)
    assert facts(log, RewardWithdrawn) == []


def test_primary_is_given_when_it_is_asked_for(log):
    """Then it is the rollout's reward."""
    judge(log, "numeric", "ro-0", "--as", "primary")

    with agl.open_log(log, readonly=True) as opened:
        (outcome,) = agl.Store(opened).ask.outcomes(["ro-0"])
    assert outcome.reward == 1.0


def test_a_dry_run_leaves_nothing(log):
    """It says what there would be to judge."""
    judge(log, "regex", "ro-0", "--pattern", "4")
    before = len(facts(log, RewardGiven, RewardWithheld))

    found = told(log, "regex", "--pattern", "4", "--dry-run")

    assert (found["dry_run"], found["judged"], found["known"]) == (True, 2, 1)
    assert len(facts(log, RewardGiven, RewardWithheld)) == before


def test_a_model_judges_what_is_long_over(log):
    """Its call is recorded with the rollout, and is not asked again."""
    asked = []

    def grade(request: Asked) -> str:
        asked.append(request.last)
        return '{"score": 5}'

    with ScriptedModel(grade, model="grader") as model:
        words = ("llm", "ro-0", "ro-1", "--model", f"{model.url}#grader", "--rubric", "Be brief.", "--concurrency", "2")
        first = told(log, *words)
        with agl.open_log(log, readonly=True) as opened:
            head = opened.head()
        again = told(log, *words)
    with agl.open_log(log, readonly=True) as opened:
        assert opened.head() == head

    judged = [one for one in facts(log, CallRecorded) if one.role == "judge"]
    assert (first["judged"], first["mean"]) == (2, 0.5)
    assert (again["judged"], again["known"], again["mean"]) == (0, 2, 0.5)
    assert len(asked) == 2
    assert "Be brief." in asked[0]
    assert {(one.rollout_id, one.agent) for one in judged} == {("ro-0", "llm 1"), ("ro-1", "llm 1")}


def test_a_call_that_was_paid_for_is_read_when_its_verdict_was_lost(log, tmp_path):
    """A process that dies between the answer and the verdict: the next one asks nobody."""
    (tmp_path / "dying.py").write_text(_DYING)
    with ScriptedModel('{"score": 5}', model="grader") as model:
        first = judge(log, "dying:Dying", "ro-0", "--model", f"{model.url}#grader")
        (tmp_path / "alive").touch()
        second = told(log, "dying:Dying", "ro-0", "--model", f"{model.url}#grader")
        requests = len(model.requests)

    assert first.exit_code == 1
    assert (second["judged"], requests) == (1, 1)


_DYING = '''
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from agl_core.judges import Verdict


@dataclass(frozen=True, kw_only=True)
class Dying:
    """Asks, and falls over while there is no file `alive`."""

    name: ClassVar[str] = "dying"
    version: ClassVar[str] = "1"

    model: str

    async def __call__(self, trace, ask):
        said = await ask([{"role": "user", "content": "How good?"}])
        if not Path("alive").exists():
            raise RuntimeError("dead")
        return Verdict(value=1.0, evidence={"said": said.text})
'''


def test_options_come_from_a_file_and_over_it_from_set_and_over_that_from_options(log, tmp_path):
    """As those of an algorithm."""
    (tmp_path / "judge.toml").write_text('pattern = "nothing"\nhow = "fullmatch"\n')

    told(log, "regex", "ro-0", "--config", str(tmp_path / "judge.toml"), "--set", "how=search", "--pattern", "is 4")

    assert facts(log, RewardGiven)[0].evidence["pattern"] == "is 4"
    assert facts(log, RewardGiven)[0].value == 1.0


def test_the_options_of_a_judge_are_shown_in_its_help(log):
    """Under a heading of their own."""
    done = judge(log, "numeric", "--help")

    assert "Options of the judge:" in done.stdout
    assert "--tolerance FLOAT" in done.stdout


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("nope",), "UNKNOWN_NAME"),
        (("numeric", "ro-9"), "UNKNOWN_ID"),
        (("numeric", "run-9"), "UNKNOWN_ID"),
        (("regex", "--pattern", "("), "BAD_VALUE"),
        (("llm",), "BAD_VALUE"),
        (("llm", "--model", "policy"), "BAD_VALUE"),
        (("llm", "--model", "http://127.0.0.1:9/v1"), "ENGINE_FAILED"),
        (("nowhere:Judge",), "NOT_IMPORTABLE"),
    ],
)
def test_what_cannot_be_is_said_with_a_code(log, words, code):
    """And leaves nothing."""
    done = judge(log, *words, "--json")

    assert done.exit_code == 1
    assert json.loads(done.stderr.splitlines()[-1])["error"]["code"] == code
    assert facts(log, RewardGiven, RewardWithheld) == []


def test_there_has_to_be_a_log(tmp_path):
    """Nothing is made."""
    done = judge(str(tmp_path / "none.db"), "numeric")

    assert done.exit_code == 1
    assert "LOG_NOT_FOUND" in done.stderr
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("exact_match", {"name": "exact_match"}),
        ("numeric:expected=sum,tolerance=0.01", {"name": "numeric", "expected": "sum", "tolerance": 0.01}),
        ("numeric:as=close,unit=km", {"name": "numeric", "unit": "km", "as": "close"}),
        ("regex:pattern=a,b", {"name": "regex", "pattern": "a,b"}),
        ('numeric:{"tolerance": 1, "as": "near"}', {"name": "numeric", "tolerance": 1.0, "as": "near"}),
        ("llm:model=https://host/v1#m,tries=2", {"name": "llm", "model": "https://host/v1#m", "tries": 2}),
    ],
)
def test_a_judge_is_said_in_a_word(text, means):
    """With its options after a colon."""
    assert named_judges([text]) == [means]


@pytest.mark.parametrize("text", ["", "numeric:", "numeric:x", "numeric:{", "numeric:tolerance=much", ":a=b"])
def test_a_word_that_says_no_judge_is_refused(text):
    """With the form that it should have."""
    with pytest.raises(agl.AglError) as raised:
        named_judges([text])

    assert raised.value.code in {"BAD_VALUE", "NOT_IMPORTABLE", "UNKNOWN_NAME"}


def test_a_run_has_judges_from_the_command_line(tmp_path):
    """`agl run --judge`: the rollouts have numbers that no agent gave."""
    (tmp_path / "quiet.py").write_text(
        "import agl_core as agl\n\n\n@agl.rollout\ndef silent(task):\n    agl.emit_message('It is 4.')\n"
    )
    (tmp_path / "tasks.jsonl").write_text('{"answer": 4}\n')
    words = [
        "run",
        "quiet:silent",
        "--tasks",
        "tasks.jsonl",
        "--judge",
        "numeric:answer=message",
        "--log",
        "run.db",
        "-q",
    ]

    done = CliRunner().invoke(command, words)

    assert done.exit_code == 0, done.stderr
    assert [(one.name, one.value) for one in facts(str(tmp_path / "run.db"), RewardGiven)] == [("primary", 1.0)]
    assert "judges     primary numeric 1\n" in CliRunner().invoke(command, ["runs", "show", "--log", "run.db"]).stdout
