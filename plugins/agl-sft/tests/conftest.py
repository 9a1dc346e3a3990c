"""A real model, small enough to be asked and tuned in no time, an agent that asks it, and rows of tokens."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from itertools import groupby
from zlib import crc32

import httpx
import pytest

import agl_core as agl
from agl_core.hookspecs import hookimpl
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.projections import CORE
from agl_core.run import describe
from agl_core.testing import ScriptedEngine

END = "<end>"
collect_ignore = [] if find_spec("trl") else ["test_trl.py", "test_tuner.py"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """The fields of a `triplets` row that the tuner reads."""

    rollout_id: str
    task_id: str
    token_ids: tuple
    prompt_length: int
    mask: tuple
    credits: tuple
    reward: float


@pytest.fixture(scope="session")
def make_row():
    """A row whose `said` tokens follow the prompt; those in brackets were put there by the agent, between calls."""

    def make(rollout_id, prompt, *said, earned=1.0, task_id="ta-1"):
        tokens = [(*token, 0) if isinstance(token, list) else (token, 1) for token in said]
        calls = sum(bit for bit, _ in groupby(bit for _, bit in tokens))
        return Row(
            rollout_id=rollout_id,
            task_id=task_id,
            token_ids=(*prompt, *(token for token, _ in tokens)),
            prompt_length=len(prompt),
            mask=tuple(bit for _, bit in tokens),
            credits=(earned,) * calls,
            reward=earned,
        )

    return make


@agl.rollout
async def speak(task, llm):
    """Earns something by what it says: another answer earns something else."""
    body = {"model": llm.model, "messages": [{"role": "user", "content": task["letter"]}]}
    # Certificates are of no use on loopback, and take longer to read than the answer to come.
    async with httpx.AsyncClient(timeout=60, verify=False) as client:  # noqa: S501
        headers = {"authorization": f"Bearer {llm.api_key}"}
        reply = await client.post(f"{llm.endpoint}/chat/completions", json=body, headers=headers)
    said = reply.json()["choices"][0]["message"]["content"] or ""
    return crc32(said.encode()) % 8 / 8


@pytest.fixture(scope="session")
def agent_of_all():
    """It asks the policy."""
    return speak


def build(folder, *, vocabulary=None, seed=0):
    """A Llama with random weights over a few letters, and a tokenizer that puts turns into a chat."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    # The machine is shared with other tests, and threads that wait for each other's cores wait long.
    torch.set_num_threads(1)
    letters = sorted(vocabulary or pre_tokenizers.ByteLevel.alphabet())
    words = Tokenizer(models.BPE(vocab={letter: place for place, letter in enumerate(letters)}, merges=[]))
    words.pre_tokenizer, words.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    words.add_special_tokens([END, "<pad>"])
    fast = PreTrainedTokenizerFast(tokenizer_object=words, eos_token=END, pad_token="<pad>")
    fast.chat_template = (
        f"{{% for message in messages %}}{{{{ message.role + ':' + message.content + '{END}' }}}}{{% endfor %}}"
        "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    )
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=96,
        initializer_range=0.1,
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Where the model lies."""
    return build(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def first(folder):
    """It as a checkpoint."""
    return describe(folder)


# --- without a model


class Engine(ScriptedEngine):
    """Says what it is told to, and that a model lies in a folder."""

    def __init__(self, folder, name, *, says_tokens):
        super().__init__(lambda asked: f"said {asked.last}", model=name)
        self.folder, self.says_tokens = folder, says_tokens

    async def start(self):
        """Listen, and say where the weights are."""
        endpoint = await super().start()
        return replace(endpoint, folder=self.folder, token_ids=self.says_tokens)


class Scribe:
    """A test double of the tuner: instead of a model it writes down what it was given to learn."""

    def __init__(self):
        self.lessons = []

    def tune(self, checkpoint, out, rows, number):
        """The rows, in a file."""
        self.lessons.append(list(rows))
        told = [{"tokens": row.token_ids, "mask": row.mask, "credits": row.credits} for row in rows]
        (out / "weights").write_text(json.dumps({"parent": checkpoint.digest, "rows": told, "round": number}))
        return {"train/rows": len(rows)}


class World:
    """A log, a policy that says the same for ever, and an agent whose samples of a task earn what a table says."""

    def __init__(self, folder, scribe):
        self.log, self.model, self.scribe = folder / "log.db", folder / "model", scribe
        self.says_tokens = True
        self.model.mkdir()
        (self.model / "weights").write_text("0")
        self.plugins = Plugins.load()
        for name in ("triplets", "sft"):
            self.plugins.register(import_module(f"agl_{name}"), name=name)

        class Opens:
            @hookimpl
            def agl_open_engine(_self, url, name):  # noqa: N805 - `self` is the world here
                return Engine(self.model, name, says_tokens=self.says_tokens) if url == "scripted:" else None

        self.plugins.register(Opens(), name="scripted")

    def fit(
        self, algorithm, rewards, *, turns=1, asks="policy", val=(), test=(), models=None, run_id="run-1", **options
    ):
        """Run it on the tasks of the table; every n-th sample of a task earns the n-th of its rewards."""
        rounds = dict.fromkeys(rewards, 0)

        async def ask(llm, messages, agent):
            headers = {"authorization": f"Bearer {llm.api_key}", "AGL-Agent": agent}
            body = {"model": asks, "messages": messages, **llm.sampling_parameters}
            async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - as above
                reply = await client.post(f"{llm.endpoint}/chat/completions", json=body, headers=headers)
            return reply.raise_for_status().json()["choices"][0]["message"]["content"]

        @agl.rollout
        async def agent(task, policy: agl.LLM, rollout: agl.Rollout):
            name = task["name"]
            messages = [{"role": "user", "content": name}]
            for turn in range(turns):
                said = await ask(policy, messages, "writer" if turn % 2 == 0 else "editor")
                messages += [{"role": "assistant", "content": said}, {"role": "user", "content": "go on"}]
            if rollout.mode != "train":
                return 0.5
            rounds[name] += 1
            earned = rewards[name][(rounds[name] - 1) % len(rewards[name])]
            if earned == "raises":
                raise LookupError("no such page")
            return earned

        trainer = agl.Trainer(
            algorithm=algorithm, models=models or {"policy": "scripted:"}, store=str(self.log), plugins=self.plugins,
            preflight=False, deterministic=True, rollout_config=agl.RolloutConfig(max_attempts=1), **options,
        )  # fmt: skip
        tasks = [{"name": name} for name in rewards]
        return trainer.fit(agent, tasks, val_dataset=list(val), test_dataset=list(test), run_id=run_id)

    def read(self, sql):
        """Rows of the log."""
        with SqliteLog(self.log, projections=CORE, readonly=True) as log:
            return log.rows(sql)

    def metrics(self, step):
        """Of a round."""
        return dict(self.read(f"select name, value from metrics where step = {step}"))  # noqa: S608 - a number

    def events(self, kind):
        """Of a type."""
        with SqliteLog(self.log, projections=CORE, readonly=True) as log:
            return [record.event for record in log.read(types=[kind])]


@pytest.fixture(scope="session")
def make_world(tmp_path_factory):
    """A fresh one, with no plugin but those it names, and a scribe in the tuner's place."""

    @contextmanager
    def made():
        scribe = Scribe()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AGL_LOAD_PLUGINS", "")
            patch.setattr("agl_sft._algorithm._tuner", lambda _config, _run, _first: scribe)
            yield World(tmp_path_factory.mktemp("world"), scribe)

    return made


@pytest.fixture
def world(make_world):
    """For a test of its own."""
    with make_world() as world:
        yield world
