"""Reactions of the core keep what every reaction promises; one with a common fault does not."""

from dataclasses import dataclass
from inspect import signature
from itertools import count
from random import random

import pytest

from agl_core.algorithm import PromoteBest, StopEarly
from agl_core.events import MetricsLogged, NoteTaken, PolicyUpdated, RunStopAsked
from agl_core.record import Draft
from agl_core.testing import ReactionContract

RUN = "run-contract"


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


def readings(*values):
    """Of the metric, one a step."""
    return [MetricsLogged(run_id=RUN, step=step, metrics={"val/reward": value}) for step, value in enumerate(values)]


class TestStopEarly(ReactionContract):
    """It asks once."""

    @pytest.fixture
    def make(self):
        """Soon."""
        return lambda: StopEarly(patience=2)

    @pytest.fixture
    def events(self):
        """Two readings without a gain, and more."""
        return readings(0.1, 0.5, 0.4, 0.5, 0.3)


class TestPromoteBest(ReactionContract):
    """It promotes weights."""

    @pytest.fixture
    def make(self):
        """As it comes."""
        return PromoteBest

    @pytest.fixture
    def events(self):
        """Two versions, of which the second is better."""
        spoken = [PolicyUpdated(run_id=RUN, policy="policy", version=n, checkpoint=f"b2:{n}") for n in range(2)]
        return [spoken[0], *readings(0.1), spoken[1], *readings(0.3, 0.2)]


@dataclass(frozen=True, kw_only=True)
class Noting:
    """As it should be: notes every second reading."""

    name = "noting"
    version = "1"
    hears = (MetricsLogged,)

    every: int = 2

    def begin(self):
        """None yet."""
        return ()

    def evolve(self, state, record):
        """One more; its own notes among them."""
        return (*state, record.event.type)

    def decide(self, state, record):
        """What there was."""
        if state.count(MetricsLogged.type) % self.every == 0:
            yield Draft(stream="log", event=NoteTaken(text=f"{len(state)}"))


@dataclass(frozen=True, kw_only=True)
class Obscure(Noting):
    """Keeps something else of its option than it was told."""

    def __post_init__(self):
        object.__setattr__(self, "every", self.every + 1)


class Silent(Noting):
    """Has nothing to say."""

    def decide(self, state, record):
        """Nothing."""
        return ()


class Dicing(Noting):
    """Has dice of its own."""

    def decide(self, state, record):
        """Whatever comes."""
        yield Draft(stream="log", event=NoteTaken(text=f"{random()}"))


class Scribbling(Noting):
    """Writes on what it is handed."""

    def begin(self):
        """A list."""
        return []

    def evolve(self, state, record):
        """The same list."""
        state.append(record.event.type)
        return state


class Remembering(Noting):
    """Counts where a restart begins again."""

    def evolve(self, state, record):
        """By a number of all that were ever made."""
        return (*state, record.event.type, next(HEARD))


HEARD = count()

FAULTS = [
    ("test_it_can_be_named_and_made_again", Obscure, "every: 4"),
    ("test_it_decides_something", Silent, "prove nothing"),
    ("test_it_decides_by_what_it_hears", Dicing, "assert"),
    ("test_it_changes_no_state_that_it_is_handed", Scribbling, "evolve changed its state"),
    ("test_killed_anywhere_and_resumed_it_decides_the_same", Remembering, "killed after event"),
]


class TestNoting(ReactionContract):
    """It keeps them all."""

    @pytest.fixture
    def make(self):
        """As it should be."""
        return Noting

    @pytest.fixture
    def events(self):
        """Four readings, and what it does not hear."""
        return [*readings(0.1, 0.2), RunStopAsked(run_id=RUN, why="enough"), *readings(0.3, 0.4)]

    @pytest.mark.parametrize(("promise", "faulty", "said"), FAULTS)
    def test_a_fault_is_found_by_the_promise_that_it_breaks(self, promise, faulty, said, events):
        """The contract can fail."""
        kept = getattr(self, promise)

        with pytest.raises(AssertionError, match=said):
            kept(**{name: {"make": faulty, "events": events}[name] for name in signature(kept).parameters})
