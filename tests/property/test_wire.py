"""Every dialect of the wire: whatever comes, nothing raises, nothing is lost, and the log can keep it."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
FUZZ = runpy.run_path(str(ROOT / "scripts" / "fuzz_wire.py"))
DIALECTS, GOLDENS, CLAIMS = FUZZ["dialects"](), FUZZ["goldens"](), FUZZ["CLAIMS"]
Case, offered = FUZZ["Case"], FUZZ["offered"]

dialects = pytest.mark.parametrize("name", sorted(DIALECTS))
promised = pytest.mark.parametrize(
    ("name", "claim"),
    [
        pytest.param(name, claim, id=f"{name}-{claim.__name__}")
        for name, dialect in sorted(DIALECTS.items())
        for claim in CLAIMS
        if offered(dialect, claim)
    ],
)

texts = st.text(max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(sorted({name for golden in GOLDENS.values() for body in golden.requests for name in body}))
answers = st.sampled_from(sorted({name for golden in GOLDENS.values() for body in golden.responses for name in body}))
cuts = st.lists(st.integers(0, 1 << 16), max_size=5)


def objects(known: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects whose fields have names that dialects know, or others, and any values."""
    return st.dictionaries(known | texts, json_values, max_size=5)


def noise(event: Any) -> bytes:
    """An event that says anything."""
    return b"data: " + json.dumps(event).encode() + b"\n\n"


streams = st.lists(objects(answers).map(noise) | st.binary(max_size=20), max_size=5).map(b"".join)


@promised
def test_a_claim_holds_of_any_json(name: str, claim: Any):
    """Also of what looks like no body at all."""

    @settings(max_examples=25)
    @given(st.builds(Case, objects(names), objects(answers), streams, cuts))
    def holds(case: Any):
        claim(DIALECTS[name], case)

    holds()


@promised
def test_a_claim_holds_of_what_is_almost_right(name: str, claim: Any):
    """Goldens with parts dropped, doubled, moved, deepened, or put in place of others."""
    golden = GOLDENS[name]

    @settings(max_examples=40)
    @given(st.integers(0, 1 << 32), st.integers(0, 6))
    def holds(seed: int, changes: int):
        claim(DIALECTS[name], FUZZ["case"](golden, Random(seed), changes=changes))

    holds()


@promised
def test_a_claim_holds_of_what_is_meant_for_another(name: str, claim: Any):
    """Clients are told the wrong route now and then."""
    others = st.sampled_from(sorted(GOLDENS.keys() - {name}))

    @settings(max_examples=25)
    @given(others, st.integers(0, 1 << 32), st.integers(0, 2))
    def holds(other: str, seed: int, changes: int):
        claim(DIALECTS[name], FUZZ["case"](GOLDENS[other], Random(seed), changes=changes))

    holds()


@dialects
def test_a_golden_is_understood(name: str):
    """Else the rest of these tests would be about noise."""
    golden, dialect = GOLDENS[name], DIALECTS[name]

    calls = [dialect.response(dialect.request(asked), body) for asked in golden.requests for body in golden.responses]

    assert all(call.dialect == name and call.usage.prompt_tokens for call in calls)
    assert any(call.messages for call in calls)
    assert all(call.choices for call in calls) or name == "openai.embeddings"


@dialects
def test_a_golden_stream_is_one(name: str):
    """It tells its error, comes to its end, and says something."""
    golden, dialect = GOLDENS[name], DIALECTS[name]
    if not hasattr(dialect, "assembly") or name == "openai.embeddings":
        pytest.skip(f"{name} does not stream")
    assembly = dialect.assembly(golden.requests[0])

    for event in FUZZ["Events"]().feed(FUZZ["case"](golden, Random(0), changes=0).stream):
        assembly.add(event)

    assert assembly.is_whole
    assert assembly.error
    assert dialect.response(dialect.request(golden.requests[0]), assembly.body()).choices


@given(st.sampled_from(sorted(GOLDENS)), st.integers(0, 1 << 32), st.integers(0, 8))
def test_the_same_seed_makes_the_same_case(name: str, seed: int, changes: int):
    """So that what was found can be looked at again; the golden stays as it is."""
    before = repr(GOLDENS[name])

    first, second = (FUZZ["case"](GOLDENS[name], Random(seed), changes=changes) for _ in range(2))

    assert repr(first) == repr(second)
    assert repr(GOLDENS[name]) == before


def test_the_fuzzer_tells_its_seed_and_its_counts():
    """`python scripts/fuzz_wire.py`, by hand."""
    command = [sys.executable, ROOT / "scripts" / "fuzz_wire.py", "--seconds", "0", "--seed", "7"]

    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

    assert (told.returncode, told.stdout.split()) == (0, ["0", "cases,", "seed", "7"])


def test_the_fuzzer_shows_what_raised(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The claim, the case and the seed, and an exit status of 1."""
    main = FUZZ["main"]

    def is_false(_dialect: Any, case: Any):
        raise KeyError(type(case).__name__)

    monkeypatch.setitem(main.__globals__, "CLAIMS", (is_false,))
    monkeypatch.setattr(sys, "argv", ["fuzz_wire.py", "--seconds", "60", "--seed", "7"])

    status = main()

    told = capsys.readouterr().out
    assert status == 1
    assert "seed 7" in told
    assert "is_false" in told
    assert "Case(asked={" in told
