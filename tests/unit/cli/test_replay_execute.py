"""`agl replay` as it is typed: what it says, what it exits with, and one model call at a time."""

import json

import httpx
import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.cli import agl as command
from agl_core.log import SqliteLog
from agl_core.testing import ScriptedModel


async def talk(task, llm, second):
    """Two questions; what the last answer was worth."""
    said = [{"role": "user", "content": task["q"]}]
    async with httpx.AsyncClient() as client:
        for text in (second, ""):
            reply = await client.post(
                f"{llm.endpoint}/chat/completions",
                json={"model": llm.model, "messages": said},
                headers={"authorization": f"Bearer {llm.api_key}"},
            )
            reply.raise_for_status()
            said += [reply.json()["choices"][0]["message"], {"role": "user", "content": text}]
    return float(said[-2]["content"] == "yes")


@agl.rollout
async def doubting(task, llm):
    """As it was recorded."""
    return await talk(task, llm, "sure?")


@agl.rollout
async def rude(task, llm):
    """Its code says something else now, of some tasks."""
    return await talk(task, llm, "sure?" if task["q"] == "one?" else "really?")


class Source:
    """A log with a run of two rollouts, and the command that replays them."""

    def __init__(self, path):
        self.path = path
        with SqliteLog(path, readonly=True) as log:
            self.rollouts = [id_ for (id_,) in log.rows("select rollout_id from rollouts order by position")]
            ((self.run,),) = log.rows("select run_id from runs")

    def replay(self, target, *words, typed=None):
        """Type it."""
        words = ("replay", target, *words, "--log", str(self.path))
        return CliRunner().invoke(command, [str(word) for word in words], input=typed)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Its model said yes twice, and listens no more."""
    path = tmp_path_factory.mktemp("source") / "log.db"
    with pytest.MonkeyPatch.context() as patch, ScriptedModel("yes") as model:
        patch.setenv("AGL_LOAD_PLUGINS", "builtin")
        given = {"llm": agl.LLM(endpoint=model.url, model=model.model)}
        agl.Trainer(store=path, initial_resources=given, n_runners=1).fit(doubting, [{"q": "one?"}, {"q": "two?"}])
        model.stop()
        yield Source(path)


RUDE = ("--agent", f"{__name__}:rude")


def test_a_rollout_is_replayed_unless_something_else_is_said(source):
    """What was answered, that it ended as then, and where its own log is; exit code 0."""
    done = source.replay(source.rollouts[0])

    assert done.exit_code == 0, done.output
    assert "answered  2 of 2 model calls from the log" in done.stdout
    assert "reward    1.0, as then" in done.stdout
    assert done.stdout.endswith("same\n")


def test_where_it_departs_is_shown_with_both_sides(source):
    """The path into the request first; exit code 1."""
    done = source.replay(source.rollouts[1], *RUDE)

    assert done.exit_code == 1
    lines = [line.strip() for line in done.stdout.splitlines()]
    at = lines.index("messages[2].content")
    assert lines[at + 1 : at + 3] == ['recorded  "sure?"', 'asked     "really?"']


def test_programs_get_one_document(source, tmp_path):
    """With the first difference, both rewards, and the log that was named."""
    same = source.replay(source.rollouts[0], "--json", "--into", tmp_path / "same.db")
    departed = source.replay(source.rollouts[1], "--json", *RUDE)

    said = json.loads(same.stdout)
    assert (said["outcome"], said["log"], said["reward"]) == (
        "same", str(tmp_path / "same.db"), {"then": 1.0, "now": 1.0},
    )  # fmt: skip
    said = json.loads(departed.stdout)
    assert (said["outcome"], said["departed"]["code"]) == ("departed", "REPLAY_DIFFERS")
    assert said["departed"]["difference"][0]["at"] == "messages[2].content"


def test_every_rollout_of_a_run_is_replayed(source):
    """A line each, and how many are the same; exit code 1 when one is not."""
    all_, some = (source.replay(source.run, "--mode", "execute", *more) for more in ((), RUDE))

    assert all_.exit_code == 0, all_.output
    assert "2 of 2 the same" in all_.stdout
    assert some.exit_code == 1
    assert "1 of 2 the same" in some.stdout
    assert "[REPLAY_DIFFERS]" in some.stdout


@pytest.mark.parametrize(
    ("typed", "shown", "code"),
    [("\nn\n", 2, 0), ("c\n", 2, 0), ("", 2, 0), ("what\nq\n", 1, 1)],
    ids=["next", "continue", "nobody there", "quit"],
)
def test_one_call_at_a_time_is_shown_before_it_is_answered(source, typed, shown, code):
    """Each with what is new in it, and its recorded answer; on a pipe, too."""
    done = source.replay(source.rollouts[0], "--step", typed=typed)

    assert done.exit_code == code, done.output
    assert done.stdout.count("answered then:") == shown
    assert ("... 2 messages as shown before" in done.stdout) == (shown == 2)
    assert ("[REPLAY_STOPPED]" in done.stdout) == bool(code)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--step", "--json"), "--json is for programs"),
        (("--adapter", "triplets"), "no use for --adapter"),
        (("--tool", "look=maybe"), "recorded, pure, live"),
        (("--ignore", "("), "no regular expression"),
        (("--at", "99999"), "positions are 1 to"),
    ],
)
def test_what_makes_no_sense_is_refused(source, words, why):
    """Before anything runs."""
    done = source.replay(source.rollouts[0], *words)

    assert done.exit_code in {1, 2}
    assert why in done.stderr


def test_an_agent_that_is_nowhere_is_told_in_one_line(source):
    """With its code, and no traceback."""
    done = source.replay(source.rollouts[0], "--agent", "nowhere:agent")

    assert done.exit_code == 1
    assert "error[" in done.stderr
    assert "Traceback" not in done.output
