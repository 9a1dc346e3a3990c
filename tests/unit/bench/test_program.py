"""`python -m bench` runs, and says what it could not measure. No figure is looked at here."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[3]
NAMES = sorted(path.stem for path in (ROOT / "bench").glob("*.py") if path.stem[0] != "_")


def bench(*arguments):
    """What a user types, in the checkout; the benches' objects."""
    command = [sys.executable, "-m", "bench", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_a_name_the_benches_are_listed():
    """Each with its first line."""
    listed = [line.split(maxsplit=1) for line in bench().splitlines()]

    assert [name for name, _ in listed] == NAMES
    assert all(about for _, about in listed)


def check(report):
    """It holds what a reader needs: figures, what follows from them, and where they were taken."""
    assert report["about"]
    assert report["quick"] is True
    assert report["missing"] == []
    assert {"agl-core", "Python", "SQLite"} <= report["machine"]["versions"].keys()
    assert report["machine"]["calibration_ms"]["median"] > 0
    for measure in report["measures"]:
        assert measure["contestants"]
        for figures in measure["contestants"].values():
            assert figures["low"] <= figures["median"] <= figures["high"]
        assert all(one["goal"] is None for one in measure["comparisons"] if one["row"] is None or one["goal"] is None)


def test_a_bench_says_what_it_found_as_json():
    """A line a bench."""
    (line,) = bench("claim", "--quick", "--json", "--no-peers", "--rounds", "1").splitlines()

    report = json.loads(line)

    check(report)
    assert (report["bench"], report["rounds"]) == ("claim", 1)
    assert {one["row"] for measure in report["measures"] for one in measure["comparisons"]} == {7, None}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name != "startup"])
def test_every_bench_runs(name):
    """Without peers, which only an index has; `startup` asks one as well."""
    check(json.loads(bench(name, "--quick", "--json", "--no-peers", "--rounds", "1")))


def test_a_name_that_is_none_is_refused():
    """With those there are."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "apend"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "'append'" in done.stderr


def test_a_peer_that_cannot_come_is_told_of_and_the_rest_is_measured(module, harness, monkeypatch):
    """Offline, say."""
    peers, field = module("_peers"), module("_field")

    def offline(_peer):
        raise peers.PeerMissing("peer 1.0 could not be installed: no network")

    monkeypatch.setattr(field, "python_of", offline)

    with field.Field(harness.Options()) as contestants:
        assert contestants.peer(peers.Peer(name="peer", version="1.0")) is None

    rounds = harness.interleaved("rest", {"ours": lambda: {"s": 1.0}}, rounds=1)
    assert contestants.report((rounds, [])).missing == ("peer 1.0 could not be installed: no network",)


@pytest.mark.parametrize(("missing", "status"), [((), 0), (("peer 1.0: no network",), 3)])
def test_done_in_part_is_a_status_of_its_own(module, harness, monkeypatch, capsys, missing, status):
    """For a program that asks."""
    program = module("__main__")
    report = harness.Report(measures=(), rounds=1, missing=missing)
    monkeypatch.setattr(program, "_bench", lambda _name: SimpleNamespace(__doc__="What.", run=lambda _options: report))
    monkeypatch.setattr(sys, "argv", ["bench", "append"])

    assert program.main() == status
    assert ("no network" in capsys.readouterr().out) is bool(missing)
