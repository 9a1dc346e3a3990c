"""Every contestant is given the same, and it is what the goals speak of."""

import asyncio
import json

import pytest


def test_a_call_is_25_attributes_of_some_3_kilobytes(module):
    """256 prompt ids, 64 sampled ones, and the same again for whoever asks again."""
    calls = module("_workload").calls

    first, second = calls(2)
    size = len(json.dumps(first.attributes(), separators=(",", ":")))

    assert [one.attributes() for one in calls(2)] == [first.attributes(), second.attributes()]
    assert first.system == second.system
    assert first.prompt_ids != second.prompt_ids
    assert (len(first.prompt_ids), len(first.sampled_ids), len(first.attributes())) == (256, 64, 25)
    assert 3000 < size < 3700


def test_an_agent_does_the_same_for_everybody(module):
    """It ends with the span that names its task, and a reward between 1 and 2."""
    steps = module("_scenario").steps

    *earlier, named, last = steps(7, rounds=6, sleep=0.5)

    assert [*earlier, named, last] == list(steps(7, rounds=6, sleep=0.5))
    assert named.attributes == {"task": 7}
    assert last.attributes is None
    assert 1 <= last.value <= 2
    assert 3 <= len([step for step in earlier if step.attributes]) <= 18
    assert all(0 <= step.seconds <= 0.5 for step in earlier)


@pytest.mark.parametrize(
    ("trace", "is_whole"),
    [
        (([{"field_1": "x"}, {"task": 1}], [0.3, 1.5]), True),
        (([{"field_1": "x"}], [1.5]), False),
        (([{"task": 1}], [1.5, 0.3]), False),
    ],
)
def test_a_finished_rollout_without_its_span_or_its_reward_is_noticed(module, trace, is_whole):
    """A store that loses something is not fast."""

    class Board:
        async def trace(self, _rollout_id):
            return trace

    checking = module("_scenario").check(Board(), ["ro-1"])

    if is_whole:
        asyncio.run(checking)
    else:
        with pytest.raises(AssertionError, match="ro-1"):
            asyncio.run(checking)
