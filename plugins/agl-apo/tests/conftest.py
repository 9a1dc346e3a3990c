"""A world in which prompts are better or worse: an agent whose reward is what its prompt says, and a scripted critic.

The critic is a test double: it does what a model does that criticises well, and shows nothing of how well one does.
"""

import re

import pytest

import agl_core as agl
from agl_core.testing import ScriptedModel
from agl_core.trainer import Trainer

WORDS = ("steps", "units", "check")
"""What a prompt should say: each is worth a third."""


@agl.rollout
def worded(task, prompt_template: agl.PromptTemplate) -> float:
    """Earns more, the more of the words its prompt says; it asks no model."""
    prompt = prompt_template.format(question=task["question"])
    return sum(word in prompt for word in WORDS) / len(WORDS)


def criticise(asked):
    """Answers a question for a critique, and one for an edit: the first word that the prompt does not say."""
    question = asked.messages[0]["content"]
    prompt = re.search(r"<prompt>\n(.*?)\n</prompt>", question, re.DOTALL)[1]
    if "<criticism>" not in question:
        missing = [word for word in WORDS if word not in prompt]
        return f"It never says: {missing[0]}." if missing else "It says too much."
    found = re.search(r"It never says: (\w+)", question)
    return f"<new_prompt>\n{prompt} Mind the {found[1]}.\n</new_prompt>" if found else "I would not change it."


def split(name, count):
    """So many tasks."""
    return [{"question": f"{name} {n}?", "n": n} for n in range(count)]


class World:
    """Makes runs, and reads their logs."""

    def __init__(self, folder):
        self.path = str(folder / "log.db")
        self.trainer = None

    criticise = staticmethod(criticise)

    def fit(self, algorithm, agent=worded, *, critic=criticise, prompts=None, train=4, val=8, test=8, **options):
        """A run of the algorithm; its summary."""
        prompts = {"prompt_template": "Answer: {question}"} if prompts is None else prompts
        resources = {
            name: text if isinstance(text, agl.PromptTemplate) else agl.PromptTemplate(template=text)
            for name, text in prompts.items()
        }
        life = {name: options.pop(name) for name in ("resume", "run_id") if name in options}
        with ScriptedModel(critic) as model:
            self.model = model
            models = {"critic": f"{model.url}#policy", **options.pop("models", {})}
            self.trainer = Trainer(
                algorithm=algorithm, store=self.path, models=models, initial_resources=resources,
                n_runners=options.pop("n_runners", 4), **options,
            )  # fmt: skip
            return self.trainer.fit(
                agent, split("train", train), val_dataset=split("val", val), test_dataset=split("test", test),
                **life,
            )  # fmt: skip

    def facts(self, kind):
        """Events of that kind, in their order."""
        with agl.open_log(self.path, readonly=True) as log:
            return [record.event for record in log.read(types=[kind])]

    def rows(self, sql):
        """What a query says."""
        with agl.open_log(self.path, readonly=True) as log:
            return log.rows(sql)

    def steps(self, label):
        """Results of the steps of that label."""
        return [event.result for event in self.facts("step.recorded") if event.label == label]

    def ran(self):
        """Prompt, split and task of every rollout."""
        prompts = {
            (event.resources_id, event.version): event.resources["prompt_template"]["template"]
            for event in self.facts("resources.published")
        }
        return [
            (prompts[event.resources_id, event.resources_version], event.mode, event.input["question"])
            for event in self.facts("rollout.enqueued")
        ]


@pytest.fixture(autouse=True)
def _own_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "apo")


@pytest.fixture
def world(tmp_path):
    """A log, and runs in it."""
    return World(tmp_path)


@pytest.fixture
def small():
    """Settings of a search that takes half a second."""
    return {
        "gradient_model": "critic", "apply_edit_model": "critic", "beam_width": 2, "branch_factor": 1,
        "beam_rounds": 3, "gradient_batch_size": 2, "val_batch_size": 4,
    }  # fmt: skip
