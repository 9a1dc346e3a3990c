"""What people see while a run is at work."""

import io

import pytest

from agl_core.cli.progress import Progress
from agl_core.log import SqliteLog


class Watch:
    """A clock that moves when it is told to."""

    def __init__(self):
        self.at = 0.0

    def __call__(self):
        """The time it was set to."""
        return self.at


@pytest.fixture
def records(story):
    """All that happened in a run of three steps."""
    with SqliteLog(story.path, readonly=True) as log:
        return list(log.read())


def test_a_line_a_step_says_how_it_goes(records, story):
    """Step of steps, reward, rollouts, calls, time; the run's id first."""
    stream = io.StringIO()

    with Progress(stream=stream, clock=Watch()) as progress:
        progress.heard(records)

    first, *steps = stream.getvalue().splitlines()
    assert first == f"run {story.run}: grpo on agents:solve"
    assert [line.partition(",")[0] for line in steps] == [
        "step 0 of 3: reward/mean 0.25",
        "step 1 of 3: reward/mean 0.5",
        "step 2 of 3: reward/mean 0.875",
    ]
    assert "rollouts 2 of 3 done, 0 running, calls 2, 6 tokens/s, 0.0 s" in steps[-1]
    assert progress.run_id == story.run


def test_a_long_silence_is_broken(records):
    """Every few seconds, when there was something to hear."""
    stream, watch = io.StringIO(), Watch()
    quiet = [record for record in records if record.event.type in {"rollout.enqueued", "attempt.started"}]

    with Progress(stream=stream, clock=watch) as progress:
        for record in quiet:
            watch.at += 2
            progress.heard([record])

    assert stream.getvalue().splitlines() == ["rollouts 0 of 3 done, 0 running, calls 0, 0 tokens/s, 6.0 s"]


def test_quiet_means_silent(records):
    """Not a byte."""
    stream = io.StringIO()

    with Progress(quiet=True, stream=stream) as progress:
        progress.heard(records)

    assert stream.getvalue() == ""


def test_a_terminal_gets_a_line_that_lives(records):
    """And keeps what stands before it."""

    class Terminal(io.StringIO):
        def isatty(self):
            """It says so."""
            return True

    stream = Terminal()

    with Progress(stream=stream) as progress:
        progress.heard(records)

    assert "grpo on agents:solve" in stream.getvalue()
