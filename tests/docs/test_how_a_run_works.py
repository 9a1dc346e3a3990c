"""The table of exit statuses on docs/explanation/how-a-run-works.md is what the code does."""

import re
from pathlib import Path
from typing import get_args

from agl_core.events import ExitStatus, RolloutConfig, owner
from agl_core.store import is_tried_again

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "how-a-run-works.md"
ROWS = {
    found["status"]: found
    for line in PAGE.read_text().splitlines()
    if (
        found := re.match(
            r"\| `(?P<status>\w+)` \| (?P<owner>\w+) \| [^|]+ \| (?P<again>[^|]+) \| (?P<then>[^|]+) \|", line
        )
    )
}


def test_the_table_has_every_exit_status():
    """The vocabulary is closed."""
    assert set(ROWS) == set(get_args(ExitStatus))


def test_the_table_names_each_owner_and_what_the_default_does():
    """Retried or not, trained on or masked."""
    for status, row in ROWS.items():
        again = is_tried_again([status], RolloutConfig(max_attempts=3))

        assert row["owner"] == owner(status)
        assert row["again"].startswith("yes" if again else "no"), status
        assert row["then"] == ("trains on its reward" if owner(status) == "policy" else "masked")


def test_a_lost_worker_is_tried_ten_times_whatever_the_attempts():
    """And no more."""
    config = RolloutConfig(max_attempts=1)

    assert is_tried_again(["worker_lost"] * 9, config)
    assert not is_tried_again(["worker_lost"] * 10, config)
