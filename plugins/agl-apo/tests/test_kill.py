"""`kill -9`, again and again: nothing that is recorded is paid for twice, counted at the provider."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter

import pytest

import agl_core as agl
from agl_core.log import verify
from agl_core.testing import ScriptedModel

pytestmark = pytest.mark.slow

AGENT = """
import httpx
import agl_core as agl

WORDS = ("steps", "units")


@agl.rollout
async def told(task, prompt_template: agl.PromptTemplate, policy: agl.LLM) -> float:
    said = prompt_template.template + task["question"]
    body = {"model": policy.model, "messages": [{"role": "user", "content": said}]}
    async with httpx.AsyncClient(timeout=60) as client:
        headers = {"authorization": f"Bearer {policy.api_key}"}
        reply = await client.post(f"{policy.endpoint}/chat/completions", json=body, headers=headers)
    reply.raise_for_status()
    said = reply.json()["choices"][0]["message"]["content"]
    return sum(word in said for word in WORDS) / len(WORDS)
"""
SETTINGS = {
    "gradient_model": "policy", "apply_edit_model": "policy", "prompt": "Answer {question}", "beam_width": 2,
    "branch_factor": 2, "beam_rounds": 2, "gradient_batch_size": 2, "val_batch_size": 4,
}  # fmt: skip
RUNNERS, BRANCHES = 4, 4
DEATHS = (5, 21, 26, 31, 38, 52)
"""A process dies when so many requests in all have come to the provider: in validations, critiques, edits, the end."""


def answer(asked):
    """The agent's model says what it is told; the critic misses a word."""
    said = asked.messages[0]["content"]
    if "<prompt>" not in said:
        return asked.last
    prompt = said.partition("<prompt>\n")[2].partition("\n</prompt>")[0]
    missing = next((word for word in ("steps", "units") if word not in prompt), "nothing")
    return f"<new_prompt>{prompt} Mind the {missing}.</new_prompt>" if "<criticism>" in said else f"It lacks {missing}."


class Executioner:
    """A model that kills who asks it, when enough was asked; the last request is answered, to nobody."""

    def __init__(self):
        self.process, self.left, self._lock = None, None, threading.Lock()

    def __call__(self, asked):
        """Answers."""
        with self._lock:
            if self.left is not None:
                self.left -= 1
                if self.left == 0:
                    os.killpg(self.process.pid, signal.SIGKILL)
                    self.process.wait()
        return answer(asked)


def test_every_request_is_one_that_is_recorded_or_was_under_way(tmp_path):
    """Killed six times, it ends as one that nobody killed, for the same calls and those under way at a death."""
    (tmp_path / "teller.py").write_text(AGENT)
    for name, count in (("train", 4), ("val", 6), ("test", 6)):
        lines = [json.dumps({"question": f"{name} {n}?"}) + "\n" for n in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))

    whole, asked_whole = lived(tmp_path, "whole.db", deaths=())
    killed, asked = lived(tmp_path, "killed.db", deaths=DEATHS)

    assert killed == whole
    assert killed["winner"] == "v2"
    with agl.open_log(str(tmp_path / "killed.db"), readonly=True) as log:
        calls = [record.event for record in log.read(types=["call.recorded"])]
        ((rollouts, settled),) = log.rows("select count(*), sum(status = 'succeeded') from rollouts")
        ((finished,),) = log.rows("select count(*) from events where type = 'attempt.finished'")
        assert not list(verify(log))
    unknown = sum(call.status == "unknown" for call in calls)
    answered = Counter(call.rollout_id for call in calls if call.status == "ok" and call.rollout_id)
    again = sum(answered.values()) - len(answered)
    known = len(calls) - unknown
    print(f"{asked} requests for {asked_whole}: {known} recorded, {again} in attempts that died, {unknown} unknown")
    assert known <= asked <= known + unknown
    assert known - again == asked_whole, "no answer that was of use came twice"
    assert unknown + again <= len(DEATHS) * max(RUNNERS, BRANCHES), "of what was under way"
    assert rollouts == settled == finished


def lived(folder, log, *, deaths):
    """The result of a run that is killed and resumed so often, and how many requests came of it."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    splits = [word for split in ("train", "val", "test") for word in (f"--{split}", f"{split}.jsonl")]
    sets = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    script = Executioner()
    with ScriptedModel(script) as model:
        told = ["--model", f"policy={model.url}#policy", "--n-runners", str(RUNNERS)]
        command = ["train", "teller:told", "--algorithm", "apo", *told, *splits, *sets]
        for death in (*deaths, None):
            script.left = None if death is None else death - len(model.requests)
            assert script.left is None or script.left > 0, f"{len(model.requests)} requests before death {death}"
            script.process = subprocess.Popen(
                [sys.executable, "-m", "agl_core.cli", *command, "--log", log, "--json", "--quiet"],
                cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                start_new_session=True,
            )  # fmt: skip
            said, error = script.process.communicate(timeout=120)
            assert script.process.returncode == (0 if death is None else -signal.SIGKILL), error
            with agl.open_log(str(folder / log), readonly=True) as opened:
                command = ["resume", opened.rows("select run_id from runs")[0][0]]
        return json.loads(said)["result"], len(model.requests)
