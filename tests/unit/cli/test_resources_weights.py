"""`agl resources export --policy`: weights that a run kept, with a model card made from its log."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.cli import agl as command
from agl_core.events import (
    CallRecorded,
    CheckpointSaved,
    Component,
    ModelCall,
    PluginLoaded,
    PolicyUpdated,
    RunFinished,
    RunStarted,
)
from agl_core.ids import canonical, content_id, new_id
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.run import Checkpoints
from agl_core.store import EnqueueRolloutRequest, Store

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"
TRAIN = ({"q": "6*7"}, {"q": "2+2"})
WHOLE = {
    "config.json": "{}", "model.safetensors": "weights", "tokenizer.json": "{}", "optimizer.safetensors": "moments",
    "state.json": "{}", "README.md": "The card of the base.",
}  # fmt: skip
ADAPTERS = {
    "adapter_config.json": json.dumps({"base_model_name_or_path": BASE}), "adapter_model.safetensors": "adapters",
    "optimizer.safetensors": "moments", "parts/more.safetensors": "more",
}  # fmt: skip


@dataclass
class Trained:
    """A run that served version 0, 1 (not kept), 2 (whole, kept) and 3 (adapters, kept)."""

    log: Path
    run: str

    def export(self, *words: Any) -> Any:
        """Type `agl resources export RUN --policy ...`."""
        words = ("resources", "export", self.run, *words, "--log", self.log)
        return CliRunner().invoke(command, [str(word) for word in words])

    def folder(self, version: int) -> Path:
        """Where the files of that version lie."""
        with SqliteLog(self.log, readonly=True) as log:
            sql = "select checkpoint from policies where version = ? limit 1"
            return log.artefacts / "checkpoints" / log.rows(sql, (version,))[0][0].removeprefix("b2:")


@pytest.fixture
def trained(tmp_path, monkeypatch) -> Trained:
    """As the run leaves it."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    path, run = tmp_path / "log.db", new_id("run")
    with SqliteLog(path, projections=CORE) as log:
        _happen(log, run)
    return Trained(path, run)


def _happen(log: SqliteLog, run: str) -> None:
    def say(event: Any, stream: str = f"run/{run}", key: str | None = None) -> None:
        log.append([Draft(stream=stream, event=event, key=key, correlation_id=run)])

    grpo = Component(name="grpo", version="0.1.0", config={"steps": 3, "learning_rate": 0.001})
    say(
        RunStarted(
            run_id=run, agent=Component(name="agents:solve"), algorithm=grpo, seed=7, train=TRAIN,
            models={"policy": f"transformers:{BASE}"},
        ),
        key=run,
    )  # fmt: skip
    say(PluginLoaded(name="grpo", version="0.1.0"), "log")
    say(PolicyUpdated(run_id=run, policy="policy", version=1, checkpoint="b2:77"))
    for version, files in ((2, WHOLE), (3, ADAPTERS)):
        workspace = log.path.parent / "workspace"
        for name, text in files.items():
            (workspace / name).parent.mkdir(parents=True, exist_ok=True)
            (workspace / name).write_text(text)
        keep(log, run, workspace, version=version)
    asyncio.run(_rollouts(Store(log), run))
    half = {"mean": 0.5, "n": 2, "ci95": [0.25, 0.75]}
    say(RunFinished(run_id=run, result={"reward_before": half, "reward_after": half, "difference": half}))


def keep(log: SqliteLog, run: str, folder: Path, *, version: int) -> None:
    """Make a checkpoint of the folder, and serve it."""
    made, hashes, size = Checkpoints(log.artefacts, run).take(folder, keep=True, base=None)
    saved = CheckpointSaved(run_id=run, checkpoint_id=new_id("ck"), digest=made.digest, files=hashes, bytes=size)
    served = PolicyUpdated(run_id=run, policy="policy", version=version, checkpoint=made.digest)
    log.append([Draft(stream=f"run/{run}", event=event, correlation_id=run) for event in (saved, served)])


async def _rollouts(store: Store, run: str) -> None:
    """One that version 2 answered, one that versions 2 and 3 answered."""
    for n, versions in enumerate(((2, 2), (2, 3))):
        await store.enqueue([EnqueueRolloutRequest(input={"n": n}, mode="val", run_id=run, group="g")])
        rollout = await store.dequeue_rollout("wk-a")
        assert rollout is not None
        for version in versions:
            event = CallRecorded(
                call_id=new_id("ca"), rollout_id=rollout.rollout_id, attempt_id=rollout.attempt_id, started_at=0,
                latency=0.1, policy_version=version, call=ModelCall(model="policy"),
            )  # fmt: skip
            store.log.append([Draft(stream=f"rollout/{rollout.rollout_id}", event=event)])
        await store.add_reward(rollout.rollout_id, 0.875, attempt_id=rollout.attempt_id)
        await store.finish_attempt(rollout.attempt, "completed")
    store.close()


def test_a_whole_model_is_copied_as_it_is(trained, tmp_path):
    """Byte for byte, without what only training needs; hidden marks apart."""
    done = trained.export("--policy", "policy@2", "--to", tmp_path / "model")

    assert done.exit_code == 0, done.stderr
    found = {path.name: path.read_text() for path in (tmp_path / "model").iterdir() if not path.name.startswith(".")}
    card = found.pop("README.md")
    assert found == {name: WHOLE[name] for name in ("config.json", "model.safetensors", "tokenizer.json")}
    assert "The card of the base." not in card


def test_the_newest_version_is_meant_by_its_name_alone(trained, tmp_path):
    """Adapters say whose they are; files keep their folders."""
    done = trained.export("--policy", "policy", "--to", tmp_path / "adapters", "--json")

    told = json.loads(done.stdout)
    assert (told["version"], told["base"]) == (3, BASE)
    assert (tmp_path / "adapters" / "parts" / "more.safetensors").read_text() == "more"
    assert not (tmp_path / "adapters" / "optimizer.safetensors").exists()
    assert "peft" in done.stderr


def test_the_card_says_what_the_log_says(trained, tmp_path):
    """Run, algorithm, settings, seed, versions, tasks by hash, before and after, and what this version earned alone."""
    trained.export("--policy", "policy@2", "--to", tmp_path / "model")

    card = (tmp_path / "model" / "README.md").read_text()
    for part in (
        f'library_name: transformers\npipeline_tag: text-generation\nbase_model: "{BASE}"\ntags: ["agl", "grpo"]',
        f"| run | `{trained.run}`, finished |",
        "| algorithm | `grpo` 0.1.0 |",
        "| &nbsp; learning_rate | `0.001` |",
        f"by agl-core {agl.__version__}",
        "| seed | 7 |",
        "| versions | grpo 0.1.0 |",
        f"| train | 2 | `{content_id(canonical(list(TRAIN)))}` |",
        "| before | 0.5 | 0.25 to 0.75 | 2 |",
        "which this is not",
        "| val | 0.875 |  | 1 | 1 | 0 |",
    ):
        assert part in card


def test_what_was_not_kept_is_refused_and_what_was_is_named(trained, tmp_path):
    """Served once, and its files made way; or never served."""
    for given, why in (("policy@1", "no checkpoint was made"), ("policy@9", "served no such version")):
        done = trained.export("--policy", given, "--to", tmp_path / "model")

        assert done.exit_code == 1
        assert "FILES_NOT_KEPT" in done.stderr
        assert why in done.stderr
        assert "policy@2, policy@3" in done.stderr
        assert not (tmp_path / "model").exists()


def test_what_the_run_began_with_is_where_it_was(trained, tmp_path):
    """The base serves again: it is no checkpoint of the run, and its address is said."""
    with SqliteLog(trained.log, projections=CORE) as log:
        event = PolicyUpdated(run_id=trained.run, policy="policy", version=0, checkpoint="b2:00")
        log.append([Draft(stream=f"run/{trained.run}", event=event)])

    done = trained.export("--policy", "policy", "--to", tmp_path / "model")

    assert "FILES_NOT_KEPT" in done.stderr
    assert f"transformers:{BASE}" in done.stderr


@pytest.mark.parametrize("harm", ["change", "remove", "forget"])
def test_files_that_are_not_what_the_run_wrote_do_not_leave(trained, tmp_path, harm):
    """Nothing half-copied is left."""
    folder = trained.folder(2)
    match harm:
        case "change":
            (folder / "model.safetensors").write_text("other")
        case "remove":
            (folder / "model.safetensors").unlink()
        case _:
            folder.rename(tmp_path / "elsewhere")

    done = trained.export("--policy", "policy@2", "--to", tmp_path / "model")

    assert done.exit_code == 1
    assert ("FILES_NOT_KEPT" if harm == "forget" else "CHECKPOINT_FOREIGN") in done.stderr
    assert not (tmp_path / "model").exists()
    assert not list(tmp_path.glob(".agl-export*"))


def test_a_file_that_would_lie_elsewhere_is_not_written(trained, tmp_path):
    """A log that somebody sent may name it so."""
    digest = trained.folder(2).name
    with SqliteLog(trained.log, projections=CORE) as log:
        event = CheckpointSaved(
            run_id=trained.run, checkpoint_id="ck-1", digest=f"b2:{digest}", files={"../stray": "b2:0"}, bytes=1
        )
        log.append([Draft(stream=f"run/{trained.run}", event=event)])

    done = trained.export("--policy", "policy@2", "--to", tmp_path / "model")

    assert "CHECKPOINT_FOREIGN" in done.stderr
    assert not (tmp_path / "stray").exists()


def test_a_folder_of_something_else_stays(trained, tmp_path):
    """With --force, too; what was exported before is replaced by it."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    refused = trained.export("--policy", "policy@2", "--to", tmp_path / "mine", "--force")
    trained.export("--policy", "policy@2", "--to", tmp_path / "model")
    twice = trained.export("--policy", "policy@3", "--to", tmp_path / "model")
    forced = trained.export("--policy", "policy@3", "--to", tmp_path / "model", "--force")

    assert "EXPORT_REFUSED" in refused.stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"
    assert "EXPORT_EXISTS" in twice.stderr
    assert forced.exit_code == 0
    assert not (tmp_path / "model" / "model.safetensors").exists()


def test_a_run_is_shown_with_where_its_weights_lie(trained, ask):
    """Of versions whose files were kept."""
    run = json.loads(ask("runs", "show", trained.run, "--log", trained.log, "--json").stdout)
    shown = ask("runs", "show", trained.run, "--log", trained.log).stdout

    assert [policy["folder"] for policy in run["policies"]] == [None, str(trained.folder(2)), str(trained.folder(3))]
    assert str(trained.folder(3)) in shown


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_frameworks_read_what_leaves(trained, tmp_path):
    """A whole model by transformers, adapters by peft: the same logits as of the model that was kept."""
    torch = pytest.importorskip("torch")
    transformers, peft = pytest.importorskip("transformers"), pytest.importorskip("peft")
    read, tokens = transformers.AutoModelForCausalLM.from_pretrained, torch.tensor([[1, 2, 3]])
    config = transformers.LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    whole = transformers.LlamaForCausalLM(config).eval()
    whole.save_pretrained(tmp_path / "base")
    whole.save_pretrained(tmp_path / "whole")
    lora = peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    adapted = peft.get_peft_model(read(tmp_path / "base"), lora).eval()
    adapted.save_pretrained(tmp_path / "adapters")
    with SqliteLog(trained.log, projections=CORE) as log:
        keep(log, trained.run, tmp_path / "whole", version=4)
        keep(log, trained.run, tmp_path / "adapters", version=5)

    trained.export("--policy", "policy@4", "--to", tmp_path / "model")
    trained.export("--policy", "policy@5", "--to", tmp_path / "lora")

    with torch.no_grad():
        assert torch.equal(read(tmp_path / "model")(tokens).logits, whole(tokens).logits)
        again = peft.PeftModel.from_pretrained(read(tmp_path / "base"), str(tmp_path / "lora"))
        assert torch.allclose(again(tokens).logits, adapted(tokens).logits)
