"""A log as it was keeps what every log promises to its readers."""

import pytest

import agl_core as agl
from agl_core.events import NoteTaken, RolloutDeleted
from agl_core.record import Draft
from agl_core.testing import LogReadingContract


class TestPast(LogReadingContract):
    """Whatever came after."""

    @pytest.fixture
    def holding(self, tmp_path):
        """More is written than is looked at."""
        opened = []

        def hold(drafts):
            log = agl.open_log(str(tmp_path / "log.db"))
            opened.append(log)
            head = len(log.append(drafts)) if drafts else 0
            later = [NoteTaken(text="later"), RolloutDeleted(rollout_id="ro-1")]
            log.append([Draft(stream="rollout/ro-1", event=event, key=event.type) for event in later])
            return log.at(head)

        yield hold
        for log in opened:
            log.close()
