"""The algorithm of docs/how-to/write-an-algorithm.md keeps what that page promises of a killed run."""

import json
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-an-algorithm.md"
MORTAL = """
import os
import signal
from pathlib import Path

import agent
import agl_core as agl


@agl.rollout
def greet(task: dict, prompt_template: agl.PromptTemplate) -> float:
    ran = Path("ran")
    count = len(ran.read_text()) if ran.exists() else 0
    with ran.open("a") as file:
        file.write("x")
    if count == 18:  # in the second round
        os.kill(os.getpid(), signal.SIGKILL)
    return agent.greet(task, prompt_template)
"""


def test_a_killed_run_of_the_guides_algorithm_ends_as_if_nothing_had_happened(guide):
    """Nothing finished runs again, the effect of a finished step is not carried out again, the result is the same."""
    guide.follow(PAGE)
    (guide.folder / "mortal.py").write_text(MORTAL)
    train = "agl train mortal:greet --algorithm prompt-picker --train tasks.jsonl --rounds 2 --n-runners 1"

    guide.type(f"{train} --log killed.db", wanted=137)
    ended = json.loads(guide.type("agl resume run- --log killed.db --json --quiet"))

    assert ended["status"] == "finished"
    assert ended["result"] == {"prompt": "Dear {name}!"}
    sql = "select sum(status = 'succeeded') as done, count(*) as rollouts, sum(attempts) as attempts from rollouts"
    (found,) = json.loads(guide.type(f'agl log query "{sql}" --log killed.db --json'))
    assert found["done"] == found["rollouts"] == 32
    assert found["attempts"] == len((guide.folder / "ran").read_text()) == 33, "one attempt died, and ran again"
    sql = (
        "select data ->> 'label' as label, count(*) as n from events where type = 'step.recorded' group by 1 order by 1"
    )
    steps = json.loads(guide.type(f'agl log query "{sql}" --log killed.db --json'))
    assert steps == [{"label": "preflight", "n": 1}, {"label": "vary", "n": 2}]
    guide.type("agl log verify --log killed.db")
