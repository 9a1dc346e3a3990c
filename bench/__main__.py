"""`python -m bench`: list the benches, or run some of them.

Exit status: 0 when all was measured, 3 when a peer could not take part, 2 for a name that is none. A goal that is not
met changes nothing: figures inform, tests decide.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from bench._harness import Options, Report, Spread
from bench._machine import machine

_IN_PART = 3
"""What could be measured was."""


def main() -> int:
    """Run what is asked for."""
    names = [found.name for found in pkgutil.iter_modules([str(Path(__file__).parent)]) if found.name[0] != "_"]
    asked = _arguments(names)
    if not asked.names and not asked.all:
        for name in names:
            print(f"{name:16}{_about(_bench(name))}")
        return 0
    options = Options(rounds=asked.rounds, quick=asked.quick, peers=asked.peers)
    is_whole = True
    for name in names if asked.all else asked.names:
        bench = _bench(name)
        report: Report = bench.run(options)
        is_whole = is_whole and not report.missing
        print(json.dumps(_as_json(name, bench, report, options)) if asked.json else _as_text(name, bench, report))
        sys.stdout.flush()
    return 0 if is_whole else _IN_PART


def _arguments(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Ours beside peers and bare limits.")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*names, []], help="without any, they are listed")
    parser.add_argument("--all", action="store_true", help="every bench there is")
    parser.add_argument("--json", action="store_true", help="one line of JSON a bench")
    parser.add_argument("--rounds", type=_count, help="instead of what the bench thinks right")
    parser.add_argument("--quick", action="store_true", help="little work: whether it runs, not how fast")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="ours and the bare limits only")
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rounds")
    return int(text)


def _bench(name: str) -> ModuleType:
    return importlib.import_module(f"bench.{name}")


def _about(bench: ModuleType) -> str:
    return (bench.__doc__ or "").partition("\n")[0]


def _as_json(name: str, bench: ModuleType, report: Report, options: Options) -> dict[str, Any]:
    return {
        "bench": name,
        "about": (bench.__doc__ or "").strip(),
        "quick": options.quick,
        "rounds": report.rounds,
        "measures": [measure.as_json() for measure in report.measures],
        "notes": list(report.notes),
        "missing": list(report.missing),
        "machine": machine(report.calibration, report.versions),
    }


def _as_text(name: str, bench: ModuleType, report: Report) -> str:
    blocks = [f"== {name}: {_about(bench)}"]
    blocks += [measure.table() for measure in report.measures]
    blocks += ["\n".join(f"note: {note}" for note in report.notes)] if report.notes else []
    blocks += ["\n".join(f"MISSING: {missing}" for missing in report.missing)] if report.missing else []
    here = machine(report.calibration, report.versions)
    slowness = Spread(**here["calibration_ms"]) if here["calibration_ms"] else None
    loop = f"; a fixed loop {slowness.median:.0f} ms [{slowness.low:.0f}..{slowness.high:.0f}]" if slowness else ""
    versions = ", ".join(f"{what} {version}" for what, version in here["versions"].items())
    blocks += [f"median and [min..max] of {report.rounds} interleaved rounds; {here['cpus']} CPUs{loop}\n{versions}\n"]
    return "\n\n".join(blocks)


if __name__ == "__main__":
    sys.exit(main())
