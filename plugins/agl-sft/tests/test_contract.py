"""It keeps what every algorithm promises, with a real model: killed at any movement and resumed, it ends the same."""

from importlib.util import find_spec

import pytest

import agl_core as agl
from agl_core.testing import AlgorithmContract

pytestmark = pytest.mark.slow
for framework in ("trl", "peft", "agl_transformers", "agl_triplets"):
    if find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed", allow_module_level=True)

PLUGINS = "transformers,triplets,sft"
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
    def agent(self, agent_of_all):
        """It asks the policy."""
        return agent_of_all

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
        monkeypatch.setenv("AGL_LOAD_PLUGINS", PLUGINS)
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


@pytest.fixture(scope="module")
def source(agent_of_all, folder, tmp_path_factory):
    """Eight rollouts of four letters, of a run that learnt nothing of them."""
    from agl_sft import Sft

    path = str(tmp_path_factory.mktemp("source") / "log.db")
    nothing = Sft(**SMALL | {"rounds": 1, "tasks_per_round": 0}, choose="threshold", at_least=9.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGL_LOAD_PLUGINS", PLUGINS)
        trainer = agl.Trainer(algorithm=nothing, store=path, models={"policy": f"transformers:{folder}?threads=1"})
        trainer.fit(agent_of_all, [{"letter": letter} for letter in "abcd"])
    return path


class TestFromALog(TestSft):
    """From the log of another run, and examined; killed at some."""

    deaths, cancels = 6, 2

    @pytest.fixture
    def make(self, source):
        """It reads what that run left."""
        from agl_sft import Sft

        return lambda: Sft(**SMALL, from_log=source, learning_rate=1e-3)

    @pytest.fixture
    def tasks(self):
        """None to learn from."""
        return {"train": [], "val": [{"letter": "e"}], "test": [{"letter": "f"}]}

    def test_the_run_that_is_killed_tunes(self, lives):
        """Once: the log does not change."""
        assert lives.whole("whole").movements.count("update") == 1
