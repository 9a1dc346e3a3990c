"""The tables of docs/how-to/failures.md are what the code does."""

import re
from pathlib import Path
from typing import get_args

from agl_core.events import ExitStatus, RolloutConfig, masked, owner
from agl_core.run import Failures
from agl_core.run._failures import What
from agl_core.store import is_tried_again

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "failures.md").read_text()
OWNERS = {
    found["owner"]: (re.findall(r"`(\w+)`", found["ends"]), found["usual"])
    for found in re.finditer(r"^\| `(?P<owner>\w+)` \| (?P<ends>[^|]+) \| `(?P<usual>\w+)` \|$", PAGE, re.MULTILINE)
}


def test_every_exit_status_is_there_beside_its_owner():
    """The vocabulary is closed."""
    ends = [end for theirs, _ in OWNERS.values() for end in theirs]

    assert sorted(ends) == sorted(get_args(ExitStatus))
    assert {end: name for name, (theirs, _) in OWNERS.items() for end in theirs} == {end: owner(end) for end in ends}


def test_what_is_usual_is_what_happens_where_nothing_is_said():
    """Tried again or not, left out or not; and to say the usual thing changes neither."""
    config = RolloutConfig(max_attempts=3)
    for name, (ends, usual) in OWNERS.items():
        said = Failures.of({name: usual})
        for end in ends:
            assert is_tried_again([end], config) == (usual == "retry")
            assert is_tried_again([end], said.configured(config)) == (usual == "retry")
            for policy in (Failures(), said):
                treatment = policy.treatment("failed", end, is_scored=True)
                assert (masked("failed", end, treatment) is None) == (usual == "train")


def test_every_word_that_may_be_said_is_there():
    """And no other."""
    assert re.findall(r"^\| `(\w+)` \| [^|]+ \|$", PAGE, re.MULTILINE) == list(get_args(What))
