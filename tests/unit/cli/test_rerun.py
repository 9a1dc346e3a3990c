"""`agl rollouts rerun`: the same task on the same resources, live, beside the log that is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.algorithm import Baseline
from agl_core.cli import agl as command
from agl_core.events import CallRecorded, RolloutConfig
from agl_core.log import SqliteLog
from agl_core.run import Run
from agl_core.testing import ScriptedEngine, ScriptedModel


@agl.rollout
def solver(task: dict[str, Any], policy: agl.LLM, prompt: agl.PromptTemplate) -> float:
    """Ask once, and be worth what is answered."""
    if task.get("bad"):
        raise ValueError("this task is bad")
    body = {
        "model": policy.model,
        "messages": [{"role": "user", "content": prompt.format(q=task["q"])}],
        **policy.sampling_parameters,
    }
    headers = {"authorization": f"Bearer {policy.api_key}"}
    reply = httpx.post(f"{policy.endpoint}/chat/completions", headers=headers, json=body)
    return float(reply.json()["choices"][0]["message"]["content"])


PROMPT = {"prompt": agl.PromptTemplate("What is {q}?")}


class Recorded:
    """A log with one rollout in it, and the command that does it again."""

    def __init__(self, path: Path, url: str, task: dict[str, Any], **options: Any) -> None:
        self.path = path
        summary = agl.Trainer(
            algorithm=options.pop("algorithm", None) or Baseline(), store=path, initial_resources=PROMPT,
            models={"policy": f"{url}#policy"}, rollout_config=RolloutConfig(), **options,
        ).fit(solver, [task])  # fmt: skip
        with SqliteLog(path, readonly=True) as log:
            self.rollout = log.rows("select rollout_id from rollouts order by position desc limit 1")[0][0]
        self.run = summary.run_id
        self.bytes = path.read_bytes()

    @property
    def left(self) -> list[Path]:
        """Logs of what was done again."""
        return list((self.path.parent / f"{self.path.name}.d" / "replays").glob("*.db"))

    @property
    def seed(self) -> int | None:
        """That its one call was asked with."""
        with SqliteLog(self.path, readonly=True) as log:
            (record,) = log.read(types=[CallRecorded.type])
        assert isinstance(record.event, CallRecorded)
        return record.event.call.sampling.seed

    def rerun(self, *words: Any) -> Any:
        """Type it; what came of it."""
        words = ("rollouts", "rerun", self.rollout, "--quiet", "--log", self.path, *words)
        return CliRunner().invoke(command, [str(word) for word in words])


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


def rows(path: str, sql: str) -> list[Any]:
    """What the log at `path` answers."""
    with SqliteLog(path, readonly=True) as log:
        return log.rows(sql)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A rollout whose model listens no more."""
    with pytest.MonkeyPatch.context() as patch, ScriptedModel("0.5") as model:
        patch.setenv("AGL_LOAD_PLUGINS", "")
        return Recorded(tmp_path_factory.mktemp("stopped") / "log.db", model.url, {"q": "6*7"})


def test_it_is_done_again_beside_the_log_that_is_read(stopped):
    """New rollouts that know their parent; not a byte of the log is another one."""
    with ScriptedModel("0.75") as model:
        url = f"{model.url}#policy"
        done = stopped.rerun("--times", 2, "--model", f"policy={url}", "--json")
        asked = [request.body for request in model.requests]

    told = json.loads(done.stdout)
    assert done.exit_code == 0, done.stderr
    assert stopped.path.read_bytes() == stopped.bytes
    assert Path(told["log"]) in stopped.left
    assert [one["reward"] for one in told["now"]] == [0.75, 0.75]
    assert told["difference"]["mean"] == 0.25
    assert told["weights"][0]["now"] == url
    assert rows(told["log"], "select parent, task_id = (select min(task_id) from rollouts) from rollouts") == [
        (stopped.rollout, 1),
        (stopped.rollout, 1),
    ]
    # The first with the very seed that it had, so that an engine that keeps to seeds says the same.
    assert {body["messages"][0]["content"] for body in asked} == {"What is 6*7?"}
    assert {body["seed"] for body in asked} > {stopped.seed}


def test_an_export_is_as_good_as_the_log(stopped, tmp_path):
    """What is done again lies beside it, and not beside the copy that it is read from."""
    export = tmp_path / "run.jsonl"
    CliRunner().invoke(command, ["log", "export", str(export), "--log", str(stopped.path)])
    with ScriptedModel("0.75") as model:
        words = ["rollouts", "rerun", stopped.rollout, "--model", f"policy={model.url}#policy", "--json", "--quiet"]
        done = CliRunner().invoke(command, [*words, "--log", str(export)])

    assert done.exit_code == 0, done.stderr
    assert Path(json.loads(done.stdout)["log"]).parent == tmp_path / "run.jsonl.d" / "replays"


def test_one_that_fails_again_is_exit_code_1(tmp_path):
    """With what it said, and no traceback."""
    with ScriptedModel("0.5") as model:
        then = Recorded(tmp_path / "log.db", model.url, {"q": "6*7", "bad": True})

        done = then.rerun()

    assert done.exit_code == 1
    assert "ValueError: this task is bad" in done.stderr


class Trains:
    """Serves one version after another, and runs the tasks on the last."""

    name = "trains"

    def __init__(self, *, keep: bool) -> None:
        self.keep = keep

    async def run(self, run: Run) -> None:
        """Three versions."""
        checkpoint = run.policy()
        for text in ("one", "two", "three"):
            made = await run.update("train", _written, checkpoint, text, keep=self.keep)
            checkpoint = made.checkpoint
            await run.serve(checkpoint)
        await run.rollouts(run.train)


def _written(_checkpoint: Any, out: Path, text: str) -> dict[str, Any]:
    (out / "model.safetensors").write_text(text)
    return {}


class Tunable(ScriptedEngine):
    """A scripted engine whose first weights lie in a folder."""

    folder: Path

    async def start(self) -> Any:
        """Listen."""
        from dataclasses import replace

        return replace(await super().start(), folder=self.folder)


@pytest.fixture
def engines(tmp_path, monkeypatch):
    """Every engine that was opened."""
    opened: list[Tunable] = []
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "model.safetensors").write_text("base")

    def open_engine(_self: Any, url: str, name: str) -> Tunable:
        engine = Tunable("0.5", model=name)
        engine.folder = folder
        opened.append(engine)
        return engine

    monkeypatch.setattr("agl_core.plugins.Plugins.open_engine", open_engine)
    return opened


def test_the_weights_that_spoke_are_loaded_again(tmp_path, engines):
    """A rollout of version 3 is done again on the files of version 3, which bear that number."""
    then = Recorded(tmp_path / "log.db", "scripted:", {"q": "6*7"}, algorithm=Trains(keep=True))

    told = json.loads(then.rerun("--json").stdout)

    ((checkpoint, version),) = engines[-1].loaded
    assert (checkpoint.folder / "model.safetensors").read_text() == "three"
    assert version == 3
    assert told["weights"] == [
        {"policy": "policy", "then": "policy@3", "checkpoint": checkpoint.digest, "now": "the same"}
    ]


def test_weights_that_are_gone_are_said_to_be(tmp_path, engines):
    """What the run began with answers, and that is told."""
    then = Recorded(tmp_path / "log.db", "scripted:", {"q": "6*7"}, algorithm=Trains(keep=False))

    done = then.rerun()

    assert engines[-1].loaded == []
    assert "policy@3 spoke then, and their files were not kept: what its run began with answers now" in done.stderr
    assert "policy@3 then, what its run began with now" in done.stdout


def test_a_checkpoint_that_is_another_is_refused(tmp_path, engines):
    """Nothing runs on weights that only bear the name."""
    then = Recorded(tmp_path / "log.db", "scripted:", {"q": "6*7"}, algorithm=Trains(keep=True))
    for file in (tmp_path / "log.db.d" / "checkpoints").glob("*/model.safetensors"):
        file.write_text("other")

    done = then.rerun()

    assert done.exit_code == 1
    assert "error[CHECKPOINT_FOREIGN]" in done.stderr
    assert not (tmp_path / "log.db.d" / "replays").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "critic=http://127.0.0.1:1/v1#x"), "error[BAD_VALUE]"),
        (("--agent", "nowhere:agent"), "error[NOT_IMPORTABLE]"),
        (("--model", "policy=http://127.0.0.1:1/v1"), "error[ENGINE_FAILED]"),
        (("--into", "{path}"), "error[LOG_EXISTS]"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(stopped, words, said):
    """A line with its code, and no log that has nothing in it."""
    before = stopped.left

    done = stopped.rerun(*(word.format(path=stopped.path) for word in words))

    assert done.exit_code == 1
    assert said in done.stderr
    assert stopped.left == before


def test_a_rollout_of_no_run_has_to_be_told_its_agent(tmp_path):
    """Nothing says which ran; with both named, it is done again."""
    path = tmp_path / "log.db"
    with ScriptedModel("0.5") as model:
        rollout = _handed_out(path, model.url)
        words = ["rollouts", "rerun", rollout, "--log", str(path), "--quiet"]

        refused = CliRunner().invoke(command, words)
        done = CliRunner().invoke(command, [*words, "--agent", f"{__name__}:solver"])

    assert "error[NOT_REPLAYABLE]" in refused.stderr
    assert "--agent MODULE:AGENT" in refused.stderr
    assert done.exit_code == 0, done.stderr
    assert "0.5" in done.stdout


def _handed_out(path: Path, url: str) -> str:
    import asyncio

    from agl_core.projections import CORE
    from agl_core.store import Store

    async def hand_out(store: Store) -> str:
        bundle = await store.add_resources({**PROMPT, "policy": agl.LLM(endpoint=url, model="policy")})
        return (await store.enqueue_rollout({"q": "6*7"}, "train", bundle.resources_id)).rollout_id

    with SqliteLog(path, projections=CORE) as log:
        store = Store(log)
        found = asyncio.run(hand_out(store))
        store.close()
    return found
