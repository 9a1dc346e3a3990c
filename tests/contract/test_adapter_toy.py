"""An adapter of a few lines keeps the contract; one with a common fault does not."""

from inspect import signature
from itertools import count
from pathlib import Path

import pytest

from agl_core.adapter import Adapted, Dropped
from agl_core.testing import AdapterContract


class Adapter:
    """As it should be: a row for each answer of the policy that was scored."""

    name = "toy"

    def __call__(self, traces):
        """What was said, and what it earned."""
        rows, dropped = [], []
        for trace in traces:
            for call in trace.calls:
                if not self.is_looked_at(call):
                    continue
                if why := self.why_not(trace, call):
                    dropped.append(Dropped(call_id=call.call_id, rollout_id=trace.rollout_id, reason=why))
                else:
                    rows.append(self.row(trace, call))
        return Adapted(rows=rows, dropped=self.told(dropped), kept=len(rows))

    def is_looked_at(self, call):
        """Others are nobody's to learn from."""
        return call.role == "policy"

    def why_not(self, trace, call):
        """The first reason."""
        if call.status != "ok" or not call.call.choices:
            return "call_failed"
        return None if trace.rewards else "no_reward"

    def row(self, trace, call):
        """Plain values."""
        return {"said": call.call.choices[0].message.content, "reward": trace.rewards[0].given.value}

    def told(self, dropped):
        """All of them."""
        return dropped


class Forgetful(Adapter):
    """Says nothing of what it drops."""

    def told(self, dropped):
        """None."""
        return []


class Mute(Adapter):
    """Says that it drops, and not why."""

    def told(self, dropped):
        """Without a reason."""
        return [Dropped(call_id=one.call_id, rollout_id=one.rollout_id, reason="") for one in dropped]


class Inventive(Adapter):
    """Makes a row of nothing."""

    def __call__(self, traces):
        """One too many."""
        adapted = super().__call__(traces)
        return Adapted(rows=[*adapted.rows, {}], dropped=adapted.dropped, kept=adapted.kept)


class Indifferent(Adapter):
    """Learns whoever speaks."""

    def is_looked_at(self, call):
        """All."""
        return True


class Hopeful(Adapter):
    """Learns what was never said."""

    def why_not(self, trace, call):
        """Only when there is nothing at all."""
        return None if trace.rewards and call.call.choices else "no_reward"


class Counting(Adapter):
    """Numbers its rows, on and on."""

    def __init__(self):
        self.numbers = count()

    def row(self, trace, call):
        """With the next number."""
        return {**super().row(trace, call), "number": next(self.numbers)}


class Busy(Adapter):
    """Leaves its marks where others look."""

    def row(self, trace, call):
        """The task says how often it was learnt."""
        trace.input["rows"] = trace.input.get("rows", 0) + 1
        return super().row(trace, call)


class Curious(Adapter):
    """Looks into a file."""

    def row(self, trace, call):
        """This one."""
        assert Path(__file__).read_text()
        return super().row(trace, call)


FAULTS = {
    "test_every_policy_call_is_kept_or_dropped": Forgetful,
    "test_what_is_dropped_is_a_call_of_the_batch": Mute,
    "test_rows_come_of_calls_that_were_kept": Inventive,
    "test_a_call_that_is_not_the_policys_becomes_no_row": Indifferent,
    "test_a_call_that_failed_becomes_no_row": Hopeful,
    "test_the_same_traces_give_the_same_rows": Counting,
    "test_what_it_is_given_stays_as_it_was": Busy,
    "test_it_reads_and_writes_nothing_else": Curious,
}


class TestToy(AdapterContract):
    """The toy keeps it all."""

    @pytest.fixture
    def adapter(self):
        """As it should be."""
        return Adapter()

    @pytest.mark.parametrize(("promise", "faulty"), FAULTS.items())
    def test_a_fault_is_found_by_the_promise_that_it_breaks(self, promise, faulty, traces):
        """The contract can fail."""
        given = {"adapter": faulty(), "traces": traces}
        kept = getattr(self, promise)

        with pytest.raises(AssertionError):
            kept(**{name: given[name] for name in signature(kept).parameters})
