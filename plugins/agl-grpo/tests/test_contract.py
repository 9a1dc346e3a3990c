"""GRPO keeps what every algorithm promises, with a real model: killed at any movement and resumed, it ends the same."""

from importlib.util import find_spec
from zlib import crc32

import pytest

import agl_core as agl
from agl_core.testing import AlgorithmContract

from ._speaking import ask, speaking

pytestmark = pytest.mark.slow
for framework in ("torch", "transformers", "tokenizers", "agl_transformers", "agl_triplets", "agl_rewards"):
    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed", allow_module_level=True)


@agl.rollout
async def speak(task, llm):
    """Earns something by what it says: another answer earns something else."""
    return crc32((await ask(llm, task["letter"])).encode()) % 8 / 8


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A model."""
    return speaking(tmp_path_factory.mktemp("model"))


class TestGrpo(AlgorithmContract):
    """Three steps on four letters, one request at a time; killed at every movement."""

    deaths = 100

    @pytest.fixture
    def make(self):
        """Small, and with checkpoints that are made again."""
        from agl_grpo import Grpo

        small = {"tasks_per_step": 2, "group_size": 2, "max_tokens": 4, "learning_rate": 1e-3}
        return lambda: Grpo(steps=3, checkpoint_every=2, eval_every=2, device="cpu", **small)

    @pytest.fixture
    def agent(self):
        """It asks the policy."""
        return speak

    @pytest.fixture
    def tasks(self):
        """A letter each."""
        return {
            "train": [{"letter": letter} for letter in "abcd"],
            "val": [{"letter": "e"}],
            "test": [{"letter": "f"}],
        }

    @pytest.fixture
    def options(self, folder, monkeypatch):
        """The engine that serves it; the same tokens come of the same seed."""
        monkeypatch.setenv("AGL_LOAD_PLUGINS", "transformers,triplets,rewards")
        return {"models": {"policy": f"transformers:{folder}?threads=1"}, "deterministic": True}

    def test_the_run_that_is_killed_trains(self, lives):
        """Every step of it changes the weights: there is something to lose."""
        assert lives.whole("whole").movements.count("update") == 3
