"""`agl replay ROLLOUT --fork-at STEP`: the same until there, and live from there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.cli import agl as command
from agl_core.emit import tool
from agl_core.errors import NotReplayable
from agl_core.events import CallRecorded, ReplayDeparted, ReplayFinished, ReplayStarted, RolloutConfig
from agl_core.log import SqliteLog
from agl_core.replay import Forked
from agl_core.testing import ScriptedModel

LOOKED: list[str] = []
"""What the tool was run with, for real."""


@tool
def look(said: str) -> str:
    """Something that happens outside."""
    LOOKED.append(said)
    return f"{said} was looked at, {len(LOOKED)}"


def talk(task: dict[str, Any], llm: agl.LLM, prompt: agl.PromptTemplate, *, aside: str = "") -> float:
    """Four turns, a tool between them; worth what is said last."""
    messages = [
        {"role": "system", "content": prompt.format(style=task["style"])},
        {"role": "user", "content": task["q"] + aside},
    ]
    said = ""
    for _ in range(4):
        body = {"model": llm.model, "messages": messages, **llm.sampling_parameters}
        headers = {"authorization": f"Bearer {llm.api_key}"}
        reply = httpx.post(f"{llm.endpoint}/chat/completions", headers=headers, json=body)
        reply.raise_for_status()
        said = reply.json()["choices"][0]["message"]["content"]
        messages += [{"role": "assistant", "content": said}, {"role": "user", "content": look(said)}]
    return float(said)


@agl.rollout
def talker(task: dict[str, Any], policy: agl.LLM, prompt: agl.PromptTemplate) -> float:
    """As it was recorded."""
    return talk(task, policy, prompt)


@agl.rollout
def other_talker(task: dict[str, Any], policy: agl.LLM, prompt: agl.PromptTemplate) -> float:
    """Its code says something else now."""
    return talk(task, policy, prompt, aside=" Please.")


@agl.rollout
def short_talker(task: dict[str, Any]) -> float:
    """Its code asks nothing any more."""
    return float(len(task))


@agl.rollout
def silent(task: dict[str, Any]) -> float:
    """Asks no model."""
    return float(len(task))


PROVIDER: list[str] = []
"""Where `stray` asks, the last one counts."""


@agl.rollout
def stray(task: dict[str, Any]) -> float:
    """Asks a provider itself, past the gateway, with a key of its own."""
    said = task["q"]
    for _ in range(2):
        body = {"model": "large", "messages": [{"role": "user", "content": said}]}
        reply = httpx.post(f"{PROVIDER[-1]}/chat/completions", headers={"authorization": "Bearer own"}, json=body)
        said = reply.json()["choices"][0]["message"]["content"]
    return float(said)


class Source:
    """A log with one rollout in it, and the command that forks it."""

    def __init__(self, path: Path, rollout: str) -> None:
        self.path, self.rollout, self.bytes = path, rollout, path.read_bytes()

    def fork(self, *words: Any, rollout: str | None = None) -> Any:
        """Type it; what came of it."""
        LOOKED.clear()
        words = ("replay", rollout or self.rollout, *words, "--quiet", "--log", self.path)
        return CliRunner().invoke(command, [str(word) for word in words])

    @property
    def calls(self) -> list[CallRecorded]:
        """What it recorded."""
        return calls(self.path)

    @property
    def left(self) -> list[Path]:
        """Logs of forks."""
        return list((self.path.parent / f"{self.path.name}.d" / "replays").glob("*"))


def calls(path: Any, rollout: str | None = None) -> list[CallRecorded]:
    """The calls of a log, or of a rollout in it."""
    return [one for one in events(path, CallRecorded) if rollout is None or one.rollout_id == rollout]


def events(path: Any, kind: type[Any]) -> list[Any]:
    """All of a kind."""
    with SqliteLog(path, readonly=True) as log:
        return [record.event for record in log.read(types=[kind.type])]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A rollout of four calls and four tools; its model said 0.1, 0.2, 0.3, 0.4, and listens no more."""
    path = tmp_path_factory.mktemp("source") / "log.db"
    with (
        pytest.MonkeyPatch.context() as patch,
        ScriptedModel(lambda asked: f"0.{len(asked.body['messages']) // 2}") as model,
    ):
        patch.setenv("AGL_LOAD_PLUGINS", "")
        trainer = agl.Trainer(
            store=path, initial_resources={"prompt": agl.PromptTemplate("Be {style}.")},
            models={"policy": f"{model.url}#policy"}, rollout_config=RolloutConfig(),
        )  # fmt: skip
        trainer.fit(talker, [{"q": "How much?", "style": "short"}])
    with SqliteLog(path, readonly=True) as log:
        ((rollout,),) = log.rows("select rollout_id from rollouts")
    return Source(path, rollout)


@pytest.fixture
def live():
    """Another model, which says 0.9."""
    with ScriptedModel("0.9") as model:
        model.word = f"policy={model.url}#policy"
        yield model


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


def test_forks_share_their_past_and_nothing_else(source, live):
    """Two calls and their tools come from the log, byte for byte; the rest is asked of the model that is named."""
    done = source.fork("--fork-at", 2, "--forks", 2, "--model", live.word, "--json")

    told = json.loads(done.stdout)
    finished, started = events(told["log"], ReplayFinished), events(told["log"], ReplayStarted)
    assert done.exit_code == 0, done.stderr
    assert [one["reward"] for one in told["now"]] == [0.9, 0.9]
    assert told["difference"] == {"mean": 0.5, "n": 2, "ci95": [0.5, 0.5]}
    assert {(one.outcome, one.answered, one.live, one.tools, one.prefix) for one in finished} == {
        ("forked", 2, 2, 2, told["prefix"][0])
    }
    assert {(one.rollout_id, one.fork_at) for one in started} == {(source.rollout, 2)}
    for fork in told["now"]:
        now, then = calls(told["log"], fork["rollout_id"]), source.calls
        assert [one.replay_of for one in now] == [then[0].call_id, then[1].call_id, None, None]
        assert [said(one) for one in now[:2]] == [said(one) for one in then[:2]]
        assert [one.call.messages for one in now[:3]] == [one.call.messages for one in then[:3]]
    assert len(live.requests) == 4
    assert LOOKED == ["0.9"] * 4


def said(call: CallRecorded) -> Any:
    """What was answered."""
    return msgspec.to_builtins(call.call.choices)


def test_the_log_that_is_read_stays_as_it_is(source, live):
    """Not a byte of it is another one; forks know their parent in a log of their own."""
    told = json.loads(source.fork("--fork-at", 3, "--model", live.word, "--json").stdout)

    with SqliteLog(told["log"], readonly=True) as log:
        assert log.rows("select parent, attempts from rollouts") == [(source.rollout, 1)]
    assert source.path.read_bytes() == source.bytes


def test_a_changed_prompt_is_the_one_thing_that_differs(source, live, tmp_path):
    """It stands in every request, from the first on; the answers up to the fork are those of then."""
    (tmp_path / "new.txt").write_text("Be very {style}!")

    plain = source.fork("--fork-at", 2, "--model", live.word, "--json")
    done = source.fork("--fork-at", 2, "--set", f"resources.prompt=@{tmp_path}/new.txt", "--model", live.word, "--json")

    told = json.loads(done.stdout)
    now, then = calls(told["log"]), source.calls
    assert done.exit_code == 0, done.stderr
    assert told["prefix"] == json.loads(plain.stdout)["prefix"]
    assert told["changed"]["prompt"]["template"] == "Be very {style}!"
    assert {one.call.messages[0].content for one in now} == {"Be very short!"}
    assert [said(one) for one in now[:2]] == [said(one) for one in then[:2]]
    assert live.requests[-1].body["messages"][0]["content"] == "Be very short!"


def test_a_changed_sampling_reaches_the_model(source, live):
    """And is no other request than then."""
    done = source.fork("--fork-at", 3, "--set", "resources.policy.temperature=0.2", "--model", live.word)

    assert done.exit_code == 0, done.stderr
    assert [request.body["temperature"] for request in live.requests] == [0.2]
    assert "policy.temperature 0.2" in done.stdout


def test_what_was_set_and_not_used_is_told(source, live):
    """A change that no request shows tells nothing of what it does."""
    done = source.fork("--fork-at", 2, "--set", "resources.prompt=Be {style}.", "--model", live.word)

    assert "no request up to the fork shows what was set of prompt" in done.stderr


def test_anything_else_that_differs_departs(source, live):
    """Nobody is asked what the log does not answer: it stops there, and says where."""
    words = ("--fork-at", 2, "--model", live.word, "--json")

    done = source.fork(*words, "--agent", f"{__name__}:other_talker")

    told = json.loads(done.stdout)
    (departed,) = events(told["log"], ReplayDeparted)
    assert done.exit_code == 1
    assert departed.code == "REPLAY_DIFFERS"
    assert departed.difference[0] == {
        "at": "messages[1].content", "recorded": "How much?", "asked": "How much? Please."
    }  # fmt: skip
    assert told["mean"] is None
    assert live.requests == ()


def test_one_that_does_not_ask_for_its_past_is_no_fork(source, live):
    """Whatever it is worth, it is not compared."""
    words = ("--fork-at", 2, "--model", live.word, "--json")

    done = source.fork(*words, "--agent", f"{__name__}:short_talker")

    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert told["now"][0]["outcome"] == "departed"
    assert told["mean"] is None
    assert "without asking for 2 of the first 2" in events(told["log"], ReplayDeparted)[0].why


def test_from_0_on_all_is_live(source, live):
    """And at its last call, nothing is."""
    first = json.loads(source.fork("--fork-at", 0, "--model", live.word, "--json").stdout)
    asked = len(live.requests)
    last = json.loads(source.fork("--fork-at", 4, "--model", live.word, "--json").stdout)

    assert asked == 4 == len(live.requests)
    assert (first["now"][0]["live"], last["now"][0]["live"]) == (4, 0)
    assert first["prefix"] == []
    assert last["difference"]["mean"] == 0.0
    assert LOOKED == []


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--fork-at", "5"), "BAD_VALUE", "the rollout made 4 model calls: give 0 to 4"),
        (("--set", "resources.promt=x"), "BAD_VALUE", "did you mean 'prompt'?"),
        (("--set", "prompt=x"), "BAD_VALUE", "write it as resources.NAME=VALUE"),
        (("--set", "resources.prompt=@nowhere.txt"), "BAD_VALUE", "cannot be read: No such file"),
        (("--set", "resources.prompt=@{binary}"), "BAD_VALUE", "is no text in UTF-8"),
        (("--set", "resources.prompt=Be good."), "BAD_VALUE", "it lacks style: the agent fills style"),
        (("--set", "resources.prompt={{style}} {{who}}"), "BAD_VALUE", "it invents who"),
        (("--set", "resources.prompt.engine=latex"), "BAD_VALUE", "an engine is one of"),
        (("--set", "resources.prompt.colour=red"), "BAD_VALUE", "`template` and `engine` can be set"),
        (("--set", "resources.policy=x"), "BAD_VALUE", "resources.NAME.temperature=0.2"),
        (("--set", "resources.policy.model=x"), "BAD_VALUE", "--model NAME=URL"),
        (("--model", "critic=http://127.0.0.1:1/v1#x"), "BAD_VALUE", "the rollout was given"),
        (("--tool", "look=never"), "BAD_VALUE", "it is NAME=HOW"),
        (("--agent", "nowhere:agent"), "NOT_IMPORTABLE", "nowhere"),
        ((), "ENGINE_FAILED", "nothing answers there"),
        (("--into", "{path}"), "LOG_EXISTS", "is there already"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(source, tmp_path, words, code, why):
    """A line with its code, and no log that has nothing in it."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    before = source.left
    given = [str(word).format(path=source.path, binary=tmp_path / "binary") for word in words]

    done = source.fork(*(() if "--fork-at" in words else ("--fork-at", 2)), *given)

    assert done.exit_code == 1
    assert f"error[{code}]" in done.stderr
    assert why in done.stderr
    assert source.left == before


def test_an_agent_that_asks_a_provider_itself_is_forked_as_well(tmp_path):
    """Up to the fork nothing reaches the provider; from there on it is asked as it was, past the gateway."""
    path = tmp_path / "log.db"
    with ScriptedModel("0.1", model="large") as model:
        PROVIDER.append(model.url)
        agl.Trainer(store=path, rollout_config=RolloutConfig()).fit(stray, [{"q": "How much?"}])
    with SqliteLog(path, readonly=True) as log:
        ((rollout,),) = log.rows("select rollout_id from rollouts")

    with ScriptedModel("0.9", model="large") as model:
        PROVIDER.append(model.url)
        told = json.loads(Source(path, rollout).fork("--fork-at", 1, "--json").stdout)
        asked = model.requests

    assert told["now"][0]["reward"] == 0.9
    assert [one.replay_of is None for one in calls(told["log"])] == [False, True]
    assert [(one.headers["authorization"], one.body["messages"][0]["content"]) for one in asked] == [
        ("Bearer own", "0.1")
    ]


def test_what_has_nothing_to_fork_is_refused(tmp_path):
    """A rollout that nobody ended, and one that asked no model."""
    import asyncio

    from agl_core.projections import CORE
    from agl_core.store import Store

    async def happen(store: Store) -> tuple[str, str]:
        over = await store.start_rollout({}, "train")
        await store.finish_attempt(over.attempt, "completed")
        return over.rollout_id, (await store.start_rollout({}, "train")).rollout_id

    path = tmp_path / "log.db"
    with SqliteLog(path, projections=CORE) as log:
        store = Store(log)
        over, open_ = asyncio.run(happen(store))
        store.close()
        source = Source(path, over)
        refused = {id_: source.fork("--fork-at", 0, rollout=id_).stderr for id_ in (over, open_)}

    assert "it made no model call" in refused[over]
    assert "it has not come to its end" in refused[open_]
    assert all("error[NOT_REPLAYABLE]" in said for said in refused.values())


@pytest.mark.parametrize("words", [("--judge", "exact_match"), ("--adapter", "rows"), ("--step",)])
def test_options_of_other_ways_are_refused(source, words):
    """What would be passed over is said to be none of a fork's."""
    done = source.fork("--fork-at", 2, *words)

    assert done.exit_code == 2
    assert "and --fork-at goes on live" in done.stderr


def test_a_fork_does_not_go_on(source):
    """What was recalled cannot be recalled in part: it is forked once more."""
    import asyncio

    class Run:
        id = "run-1"

    with pytest.raises(NotReplayable, match="Fork once more"):
        asyncio.run(Forked(source=str(source.path), rollout_id=source.rollout).run(Run()))
