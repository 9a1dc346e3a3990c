"""Feed the dialects of the wire what nobody would send: `python scripts/fuzz_wire.py --seconds 60 --seed 1`.

Bodies and streams are goldens with changes. What fails is printed with the seed, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from agl_core import wire
from agl_core.codec import Codec
from agl_core.errors import BadPayload
from agl_core.events import CallRecorded, ModelCall
from agl_core.wire.sse import Events

GOLDENS = Path(__file__).parents[1] / "tests" / "property" / "wire"
RESERVED = "$"
"""Names in `extra` that begin so are ours, and a body's own are not kept."""


class Golden(NamedTuple):
    """What a dialect's clients and servers say when all is well."""

    requests: list[Any]
    responses: list[Any]
    stream: list[Any]
    """Names and data of events."""


class Case(NamedTuple):
    """What one of them says when it is not."""

    asked: dict[str, Any]
    body: dict[str, Any]
    stream: bytes
    cuts: list[int]


def dialects() -> dict[str, Any]:
    """The modules of `agl_core.wire` that have a name, whether they offer everything yet or not."""
    names = (found.name for found in pkgutil.iter_modules(wire.__path__))
    modules = [importlib.import_module(f"agl_core.wire.{name}") for name in names if not name.startswith("_")]
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}


def goldens() -> dict[str, Golden]:
    """By the name of their dialect."""
    return {path.stem: Golden(**json.loads(path.read_text("utf-8"))) for path in sorted(GOLDENS.glob("*.json"))}


def case(golden: Golden, random: Random, *, changes: int) -> Case:
    """One with so many changes in each of its parts."""
    events = mutated(golden.stream, random, changes=changes)
    return Case(
        _object(mutated(random.choice(golden.requests), random, changes=changes)),
        _object(mutated(random.choice(golden.responses), random, changes=changes)),
        b"".join(_sent(event, random) for event in (events if isinstance(events, list) else [events])),
        [random.randrange(1 << 16) for _ in range(random.randrange(6))],
    )


def mutated(value: Any, random: Random, *, changes: int) -> Any:
    """A copy of `value` with parts dropped, doubled, moved, deepened, or put in place of others."""
    value = json.loads(json.dumps(value))
    for _ in range(changes):
        value = _changed(value, random)
    return value


# --- claims


def keeps_the_request(dialect: Any, case: Case) -> None:
    """Rendered again, it says all it said; and capture can be asked for."""
    asked = _unreserved(case.asked)
    rendered = dialect.render_request(dialect.request(asked))
    assert holds(rendered, asked), f"not kept: {rendered!r}"
    assert dialect.request(rendered) == dialect.request(dialect.render_request(dialect.request(rendered)))
    dialect.add_capture(case.asked, token_ids=True, logprobs=True)


def keeps_the_response(dialect: Any, case: Case) -> None:
    """Rendered again, it says all its asker saw."""
    asked = _unreserved(case.asked)
    call = dialect.response(dialect.request(asked), case.body, logprobs_mode="raw")
    rendered, shown = dialect.render_response(call), dialect.strip_capture(case.body, asked)
    assert holds(rendered, shown), f"not kept: {rendered!r}"
    again = dialect.render_request(call)
    assert holds(again, asked), f"the request is not kept: {again!r}"


def can_be_written_down(dialect: Any, case: Case) -> None:
    """The log gives the call back as it was, or says that it cannot keep it: text that is no Unicode has no bytes."""
    call = dialect.response(dialect.request(case.asked), case.body)
    event = CallRecorded(call_id="ca-1", rollout_id="ro-1", attempt_id="at-1", call=call, started_at=0, latency=0.0)
    try:
        written = Codec().encode(event)
    except BadPayload:
        assert not (_is_plain(case.asked) and _is_plain(case.body)), "the log refused it"
        return
    assert Codec().decode(written.type, written.schema, written.data, written.blobs.__getitem__) == event


def takes_the_stream(dialect: Any, case: Case) -> None:
    """Cut anywhere and ended anywhere, it is an answer as far as it has come."""
    events, assembly = Events(), dialect.assembly(case.asked)
    for start, end in pairwise([0, *sorted(cut % (len(case.stream) + 1) for cut in case.cuts)]):
        for event in events.feed(case.stream[start:end]):
            assert isinstance(assembly.add(event), bytes)
        assert isinstance(assembly.is_whole, bool)
        assert assembly.error is None or isinstance(assembly.error, str)
        call = dialect.response(dialect.request(case.asked), assembly.body())
        assert isinstance(dialect.render_response(call), dict)


def says_it_in_every_other(dialect: Any, case: Case) -> None:
    """What was asked and answered, whole and as a stream."""
    call = dialect.response(dialect.request(case.asked), case.body)
    for other in dialects().values():
        if other is not dialect:
            assert isinstance(other.render_request(call), dict)
            assert isinstance(other.render_response(call), dict)
            _stream(other, call)


def streams_its_answer(dialect: Any, case: Case) -> None:
    """As a server would that streams, and its own assembly takes it."""
    assembly = dialect.assembly(case.asked)
    for event in Events().feed(_stream(dialect, dialect.response(dialect.request(case.asked), case.body))):
        assembly.add(event)
    assert isinstance(assembly.body(), dict)


Claim = Callable[[Any, Case], None]
CLAIMS: tuple[Claim, ...] = (
    keeps_the_request,
    keeps_the_response,
    can_be_written_down,
    takes_the_stream,
    says_it_in_every_other,
    streams_its_answer,
)


def offered(dialect: Any, claim: Claim) -> bool:
    """Whether the dialect has what the claim is about."""
    return claim not in (takes_the_stream, streams_its_answer) or hasattr(dialect, "assembly")


def holds(whole: Any, part: Any) -> bool:
    """Everything `part` says, `whole` says too; what is more in it are fields."""
    if whole == part:
        return True
    match whole, part:
        case dict(), dict():
            return all(name in whole and holds(whole[name], value) for name, value in part.items())
        case list(), list():
            return len(whole) == len(part) and all(map(holds, whole, part))
    return False


def _stream(dialect: Any, call: ModelCall) -> bytes:
    try:
        return b"".join(dialect.render_stream(call) if hasattr(dialect, "render_stream") else ())
    except UnicodeEncodeError:  # a stream is bytes, and text that is no Unicode has none
        assert not _is_plain(dialect.render_response(call)), "it has bytes"
        return b""


# --- changes


ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, 5e-324),
    *(2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30),
    *("", "NaN", "Infinity", "-inf", "null", "\x00", "\ud800", "a\udfffb", "é\u2028", "$response", "[DONE]", "x" * 999),
    *([], {}, [[]], [None], [{}], {"": {}}, {"type": "text"}, {"role": "user"}, [1, 2, 3], [-1], ["a", 1], [True]),
)
"""What is put in the place of something else."""


def _changed(value: Any, random: Random) -> Any:
    *way, last = random.choice([[None], *([None, *path] for path in _paths(value))])
    if last is None:
        return random.choice([value, value, [value], _odd(random)])
    holder = value
    for step in way[1:]:
        holder = holder[step]
    match random.randrange(7):
        case 0:
            del holder[last]
        case 1 if isinstance(holder, list):
            holder.insert(random.randrange(len(holder) + 1), json.loads(json.dumps(holder[last])))
        case 1:
            holder[f"{last}{random.choice(['', '_', ' ', 'é'])}"] = holder[last]
        case 2:
            holder[last] = _deep(holder[last], random, random.choice([1, 2, 40]))
        case 3:
            other = random.choice(list(_paths(value)))
            found = value
            for step in other:
                found = found[step]
            holder[last] = json.loads(json.dumps(found))
        case _:
            holder[last] = _odd(random)
    return value


def _odd(random: Random) -> Any:
    return json.loads(json.dumps(random.choice(ODD)))  # a copy: it may be changed in its turn


def _paths(value: Any) -> Iterator[list[Any]]:
    """To everything in it."""
    match value:
        case dict():
            items: Any = list(value.items())
        case list():
            items = list(enumerate(value))
        case _:
            return
    for step, inner in items:
        yield [step]
        yield from ([step, *rest] for rest in _paths(inner))


def _deep(value: Any, random: Random, depth: int) -> Any:
    for _ in range(depth):
        value = [value] if random.random() < 0.5 else {random.choice(["content", "type", "a"]): value}
    return value


def _sent(event: Any, random: Random) -> bytes:
    name, data = event if isinstance(event, list) and len(event) == 2 else (None, event)
    end = random.choice(["\n", "\n", "\n", "\r\n", "\r"])
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=random.random() < 0.5)
    lines = [f"event: {name}"] if isinstance(name, str) else []
    return (end.join([*lines, f"data: {text}"]) + end * 2).encode("utf-8", "surrogatepass")


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"input": value}


def _unreserved(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if not name.startswith(RESERVED)}


def _is_plain(value: Any) -> bool:
    """Whether it has bytes."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


# --- by hand


def main() -> int:
    """Until the time is over, or a claim is found to be false."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--dialect", choices=sorted(dialects()), help="this one alone")
    options = parser.parse_args()
    random, found, known = Random(options.seed), dialects(), goldens()
    names = [options.dialect] if options.dialect else sorted(found)
    counts: Counter[str] = Counter()
    until = time.monotonic() + options.seconds
    while time.monotonic() < until:
        name, claim = random.choice(names), random.choice(CLAIMS)
        if not offered(found[name], claim):
            continue
        # Now and then what is meant for another dialect.
        golden = known[name if name in known and random.random() < 0.9 else random.choice(sorted(known))]
        tried = case(golden, random, changes=random.choice([0, 1, 1, 2, 3, 8]))
        try:
            claim(found[name], tried)
        except Exception:  # noqa: BLE001 - whatever it is, it is what was looked for
            traceback.print_exc(file=sys.stdout)
            print(f"seed {options.seed}: {name} {claim.__name__} after {sum(counts.values())} cases, with\n{tried!r}")
            return 1
        counts[f"{name} {claim.__name__}"] += 1
    for what, count in sorted(counts.items()):
        print(f"{count:8} {what}")
    print(f"{sum(counts.values()):8} cases, seed {options.seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
