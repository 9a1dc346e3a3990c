"""Record a history of each algorithm, for a release: `python scripts/record_histories.py`.

Each is a small run of the code of today, exported and zipped into `tests/replay/<version>/`. What is there stays: it is
never recorded again, as the code of later releases has to be able to go through it (tests/replay/test_histories.py).
"""

from __future__ import annotations

import argparse
import getpass
import gzip
import os
import re
import runpy
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import httpx

import agl_core as agl
from agl_core.export import export_log
from agl_core.testing import ScriptedModel

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "replay"
HOST = "recorder"
"""What a history calls the machine that it was recorded on."""
MOST = 64 * 1024
"""Bytes of a history: it is committed."""
WORDS = ("steps", "units", "check")
"""What a prompt should say: each is worth a third."""

Write = Callable[[str], None]
"""Runs an algorithm, and leaves a log at a path."""


# --- agents, which are never looked for again


@agl.rollout
def counted(task: Any) -> float:
    """Earns by the task alone."""
    return float(task["n"]) / 10


@agl.rollout
def worded(task: Any, prompt_template: agl.PromptTemplate) -> float:
    """Earns more, the more of the words its prompt says; on each task another word counts double."""
    prompt = prompt_template.format(question=task["question"])
    said = [word in prompt for word in WORDS]
    return float(sum(said) + said[task["n"] % len(WORDS)]) / (len(WORDS) + 1)


@agl.rollout
async def speaking(task: Any, llm: agl.LLM) -> float:
    """Earns something by what it says: another answer earns something else."""
    body = {"model": llm.model, "messages": [{"role": "user", "content": task["letter"]}]}
    async with httpx.AsyncClient(timeout=60) as client:
        headers = {"authorization": f"Bearer {llm.api_key}"}
        reply = await client.post(f"{llm.endpoint}/chat/completions", json=body, headers=headers)
    answer = reply.raise_for_status().json()["choices"][0]["message"]["content"] or ""
    return crc32(answer.encode()) % 8 / 8


def criticise(asked: Any) -> str:
    """A critic: the first word that the prompt does not say, or an edit that says it."""
    question = asked.messages[0]["content"]
    found = re.search(r"<prompt>\n(.*?)\n</prompt>", question, re.DOTALL)
    prompt = found[1] if found else ""
    if "<criticism>" not in question:
        missing = [word for word in WORDS if word not in prompt]
        return f"It never says: {missing[0]}." if missing else "It says too much."
    named = re.search(r"It never says: (\w+)", question)
    return f"<new_prompt>\n{prompt} Mind the {named[1]}.\n</new_prompt>" if named else "I would not change it."


# --- runs


def fit(log: str, algorithm: Any, agent: Any, splits: Mapping[str, Sequence[Any]], **options: Any) -> None:
    """One run, from its beginning to its end."""
    trainer = agl.Trainer(algorithm=algorithm, store=log, seed=7, n_runners=2, preflight=False, **options)
    trainer.fit(agent, splits["train"], val_dataset=splits.get("val"), test_dataset=splits.get("test"))


def baseline(log: str, **options: Any) -> None:
    """Twice over its tasks."""
    splits = {"train": [{"n": n} for n in range(3)], "val": [{"n": n} for n in (4, 5)]}
    fit(log, {"name": "baseline", "n_epochs": 3}, counted, splits, **options)


def search(log: str, algorithm: Mapping[str, Any], **options: Any) -> None:
    """Of a prompt, with a scripted critic."""
    splits = {
        name: [{"question": f"{name} {n}?", "n": n} for n in range(count)]
        for name, count in {"train": 4, "val": 4, "test": 6}.items()
    }
    with ScriptedModel(criticise) as model:
        asks = {"gradient_model": "critic", "apply_edit_model": "critic", "gradient_batch_size": 2}
        fit(
            log,
            {**asks, **algorithm},
            worded,
            splits,
            models={"critic": f"{model.url}#policy"},
            initial_resources={"prompt_template": agl.PromptTemplate(template="Answer: {question}")},
            **options,
        )


def learning(log: str, algorithm: Mapping[str, Any], **options: Any) -> None:
    """Of a tiny model whose weights were drawn."""
    runpy.run_path(str(ROOT / "plugins/agl-grpo/tests/_speaking.py"))["speaking"](Path("model"))
    splits = {"train": [{"letter": letter} for letter in "abcd"], "val": [{"letter": "e"}], "test": [{"letter": "f"}]}
    options = {"models": {"policy": "transformers:model?threads=1"}, "deterministic": True, **options}
    fit(log, algorithm, speaking, splits, **options)


BEAM = {"name": "apo", "beam_width": 2, "branch_factor": 1, "beam_rounds": 2, "val_batch_size": 2}
SMALL = {"max_tokens": 4, "learning_rate": 1e-3, "device": "cpu"}
STEPS = {"name": "grpo", "steps": 2, "tasks_per_step": 2, "group_size": 2, "eval_every": 1}
ROUNDS = {"name": "sft", "rounds": 2, "tasks_per_round": 2, "samples": 2, "batch_size": 2}
RUNS: Mapping[str, tuple[str, Write]] = {
    "apo": ("apo", partial(search, algorithm=BEAM)),
    "baseline": ("", baseline),
    "grpo": ("grpo,transformers,triplets,rewards", partial(learning, algorithm=STEPS | SMALL)),
    "grpo-in-flight": (
        "grpo,transformers,triplets,rewards",
        partial(learning, algorithm=STEPS | SMALL | {"groups_in_flight": 3}, deterministic=False),
    ),
    "pareto": ("apo", partial(search, algorithm={"name": "pareto", "rounds": 2})),
    "promote-best": ("apo", partial(search, algorithm=BEAM, reactions="promote_best")),
    "promote-best-weights": (
        "grpo,transformers,triplets,rewards",
        partial(learning, algorithm=STEPS | SMALL, reactions="promote_best"),
    ),
    "sft": ("sft,transformers,triplets", partial(learning, algorithm=ROUNDS | SMALL)),
    "stop-early": (
        "",
        partial(baseline, reactions={"name": "stop_early", "patience": 1, "metric": "val/reward"}),
    ),
}
"""What each history is a run of, and with which plugins."""


# --- records


@contextmanager
def elsewhere(plugins: str) -> Iterator[None]:
    """In a folder of its own, on a machine without a name, with those plugins alone."""
    before, real = Path.cwd(), socket.gethostname
    with tempfile.TemporaryDirectory(prefix="agl-history-") as folder:
        os.chdir(folder)
        os.environ["AGL_LOAD_PLUGINS"] = plugins
        socket.gethostname = lambda: HOST
        try:
            yield
        finally:
            socket.gethostname = real
            os.chdir(before)


def recorded(plugins: str, write: Write) -> bytes:
    """A history, zipped; raises `ValueError` for one that tells of this machine, or is too big."""
    with elsewhere(plugins):
        write("log.db")
        with agl.open_log("log.db", readonly=True) as log:
            export_log(log, Path("log.jsonl"))
        text = Path("log.jsonl").read_bytes()
        own = {str(Path.cwd()), str(ROOT), str(Path.home()), f"/{getpass.getuser()}/", sys.prefix}
    own |= {f'"{socket.gethostname()}"', f'\\"{socket.gethostname()}\\"'}
    if told := sorted(name for name in own if name.strip("/") and name.encode() in text):
        raise ValueError(f"it names {', '.join(told)}")
    content = gzip.compress(text, mtime=0)
    if len(content) > MOST:
        raise ValueError(f"{len(content)} bytes are more than {MOST}")
    return content


def main() -> None:
    """Record those that are not there."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("names", nargs="*", choices=[[], *RUNS], help="which; default: all")
    options.add_argument("--version", default=agl.__version__, help="of the release")
    given = options.parse_args()
    folder = FOLDER / given.version
    for name in given.names or RUNS:
        path = folder / f"{name}.jsonl.gz"
        if path.exists():
            print(f"{path.relative_to(ROOT)} is there, and stays")
            continue
        content = recorded(*RUNS[name])
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:  # "x": never over another
            file.write(content)
        print(f"{path.relative_to(ROOT)}: {len(content)} bytes")


if __name__ == "__main__":
    main()
