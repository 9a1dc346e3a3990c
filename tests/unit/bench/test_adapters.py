"""Every adapter is given the same nested trace, and matches every reward in it."""

import pytest


def test_a_nested_trace_is_the_same_for_whoever_asks(module):
    """Turns of four spans, in a session; each span lies in its parent in time."""
    nested = module("_nested")

    found = nested.steps(101)
    by_id = {step.id: step for step in found}

    assert found == nested.steps(101)
    assert len(by_id) == 101
    assert [step.parent for step in found].count(None) == 1
    assert [step.began for step in found] == sorted(step.began for step in found)
    assert sum(step.call is not None for step in found) == nested.rewarded(found) == 25
    for step in found[1:]:
        around = by_id[step.parent]
        assert around.began <= step.began <= step.ended <= around.ended


@pytest.mark.parametrize(
    ("workload", "told"),
    [
        ("rows", {"level": "trajectory"}),
        ("rows", {"level": "transition"}),
        ("matched", {"source": "spans"}),
        ("matched", {"source": "wire"}),
        ("decode", {}),
    ],
)
def test_every_contestant_gives_its_rates_and_how_they_grow(module, workload, told):
    """A contestant that lost a reward, or a call, would say so."""
    pytest.importorskip("agl_triplets")
    adapting = module("_contestants.adapting")

    found = getattr(adapting, workload)(**told, counts=[10, 100], least=100)

    assert found.keys() == {"spans/s of 10", "spans/s of 100", "growth"}
    assert all(figure > 0 for figure in found.values())


def test_the_bench_runs_small(module, harness):
    """Without the peer, which only an index has."""
    pytest.importorskip("agl_triplets")

    report = module("adapters").run(harness.Options(quick=True, peers=False, rounds=1))

    assert [measure.unit for measure in report.measures] == ["spans/s of 10", "spans/s of 100", "growth"]
    assert {one.row for measure in report.measures for one in measure.comparisons} == {22, None}
