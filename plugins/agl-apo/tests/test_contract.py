"""What every algorithm promises, of this one: killed at any movement and resumed, it ends the same."""

import httpx
import pytest
from agl_apo import Apo

import agl_core as agl
from agl_core.testing import AlgorithmContract, AlgorithmKillContract, ScriptedModel

WORDS = ("steps", "units")


@agl.rollout
async def told(task, prompt_template: agl.PromptTemplate, policy: agl.LLM) -> float:
    """Asks a model that says what it is told; earns more, the more of the words that is."""
    asked = prompt_template.format(question=task["question"])
    body = {"model": policy.model, "messages": [{"role": "user", "content": asked}]}
    async with httpx.AsyncClient(timeout=60) as client:
        headers = {"authorization": f"Bearer {policy.api_key}"}
        reply = await client.post(f"{policy.endpoint}/chat/completions", json=body, headers=headers)
    reply.raise_for_status()
    said = reply.json()["choices"][0]["message"]["content"]
    return sum(word in said for word in WORDS) / len(WORDS)


@agl.rollout
def worded(task, prompt_template: agl.PromptTemplate) -> float:
    """Earns more, the more of the words its prompt says."""
    return sum(word in prompt_template.template for word in WORDS) / len(WORDS)


def both(asked):
    """The agent's model, and a critic: the first answer to each edit lacks the placeholder."""
    said = asked.messages[0]["content"]
    if "<prompt>" not in said:
        return asked.last
    prompt = said.partition("<prompt>\n")[2].partition("\n</prompt>")[0]
    missing = next((word for word in WORDS if word not in prompt), "nothing")
    if "<criticism>" not in said:
        return f"It never says {missing}."
    return f"<new_prompt>{prompt} Mind the {missing}.</new_prompt>" if len(asked.messages) > 1 else "Certainly."


class Searching:
    """Two rounds on few tasks."""

    @pytest.fixture
    def make(self):
        """Two branches of one prompt at a time."""
        small = {"beam_width": 1, "branch_factor": 2, "beam_rounds": 2, "gradient_batch_size": 1, "val_batch_size": 2}
        return lambda: Apo(gradient_model="policy", apply_edit_model="policy", prompt="Answer: {question}", **small)

    @pytest.fixture
    def agent(self):
        """It asks the policy, with the prompt."""
        return told

    @pytest.fixture
    def tasks(self):
        """Two of each; six under seal."""
        sizes = {"train": 2, "val": 3, "test": 6}
        return {split: [{"question": f"{split} {n}"} for n in range(size)] for split, size in sizes.items()}

    @pytest.fixture
    def provider(self):
        """Says what a prompt says, and criticises."""
        with ScriptedModel(both) as model:
            yield model

    @pytest.fixture
    def options(self, provider):
        """One server for all."""
        return {"models": {"policy": f"{provider.url}#policy"}}


class Brief(Searching):
    """A round of it, of agents that ask no model."""

    @pytest.fixture
    def make(self):
        """One branch."""
        small = {"beam_width": 1, "branch_factor": 1, "beam_rounds": 1, "gradient_batch_size": 1}
        return lambda: Apo(gradient_model="policy", apply_edit_model="policy", prompt="Answer: {question}", **small)

    @pytest.fixture
    def agent(self):
        """It earns by its prompt alone."""
        return worded

    @pytest.fixture
    def tasks(self):
        """One of each."""
        return {split: [{"question": split}] for split in ("train", "val", "test")}


class TestApo(Brief, AlgorithmContract):
    """At a few of its movements."""

    deaths = 4
    cancels = 1


@pytest.mark.slow
class TestApoAtLength(Searching, AlgorithmContract):
    """With more to lose, in this process."""

    deaths = 12

    def test_the_run_that_is_killed_finds_something(self, lives):
        """A prompt that was refused, one that was better, and one that was better still."""
        result = lives.whole().result

        assert result["winner"] == "v2"
        assert result["verdict"].startswith("gain: ")


@pytest.mark.slow
class TestApoKilled(Brief, AlgorithmKillContract):
    """At every movement, and by processes that die; test_kill has more of these."""

    kills = 2
