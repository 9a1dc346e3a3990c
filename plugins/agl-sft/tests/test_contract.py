"""It keeps what every algorithm promises, with a real model: killed at any movement and resumed, it ends the same."""

from importlib.util import find_spec

import pytest

from agl_core.testing import AlgorithmContract

pytestmark = pytest.mark.slow
for framework in ("trl", "peft", "agl_transformers", "agl_triplets"):
    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed", allow_module_level=True)

SMALL = {"rounds": 2, "tasks_per_round": 2, "samples": 2, "max_tokens": 4, "batch_size": 2, "device": "cpu"}


class TestSft(AlgorithmContract):
    """Two rounds on four letters, one request at a time; killed at every movement."""

    deaths = 100

    @pytest.fixture
    def make(self):
        """Small."""
        from agl_sft import Sft

        return lambda: Sft(**SMALL, learning_rate=1e-3)

    @pytest.fixture
    def agent(self, agent):
        """It asks the policy."""
        return agent

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
        monkeypatch.setenv("AGL_LOAD_PLUGINS", "transformers,triplets,sft")
        return {"models": {"policy": f"transformers:{folder}?threads=1"}, "deterministic": True}

    def test_the_run_that_is_killed_tunes(self, lives):
        """In every round: there is something to lose."""
        assert lives.whole("whole").movements.count("update") == 2


class TestWeightedAdapters(TestSft):
    """The same with weights, in a LoRA, killed at some."""

    deaths, cancels = 6, 2

    @pytest.fixture
    def make(self):
        """It goes on with its adapters from round to round."""
        from agl_sft import Sft

        return lambda: Sft(**SMALL, choose="weighted", lora_rank=2, learning_rate=1e-2)
