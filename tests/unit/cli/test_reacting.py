"""`agl train --react`: reactions named on the command line, and found again by `agl resume`."""

import json
import os

import pytest

AGENTS = """
import agl_core as agl

@agl.rollout
def solve(task):
    return float(task["q"])
"""


@pytest.fixture
def train(tmp_path, type_in):
    """Four epochs over one task that is always worth the same."""
    (tmp_path / "agents.py").write_text(AGENTS)
    (tmp_path / "tasks.jsonl").write_text('{"q": 1}\n')
    environment = {name: value for name, value in os.environ.items() if name != "AGL_LOG"}
    words = ["train", "agents:solve", "--algorithm", "baseline", "--set", "n_epochs=4", "--train", "tasks.jsonl"]
    return lambda *more: type_in([*words, "--log", "run.db", *more], cwd=tmp_path, env=environment)


def test_a_reaction_stops_the_run(train, tmp_path):
    """Its options are read as those of judges are."""
    done = train("--react", "stop_early:metric=train/reward,patience=1", "--react", "promote_best", "--json", "-q")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "finished"
    import agl_core as agl

    with agl.open_log(str(tmp_path / "run.db"), readonly=True) as log:
        assert log.rows("select count(*) from rollouts") == [(2,)]
        (asked,) = log.read(types=["run.stop_asked"])
    assert asked.event.by == "stop_early"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("stop_late", "stop_late"),
        ("stop_early:patient=3", "patient"),
        ("stop_early:patience=soon", "patience"),
        ('stop_early:{"patience"}', "its options are no JSON"),
        ("stop_early:patience=0", "at least 1"),
    ],
)
def test_what_is_none_is_refused_before_anything_is_written(train, tmp_path, spec, said):
    """In a line, with the option's name."""
    done = train("--react", spec)

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run.db").exists()
