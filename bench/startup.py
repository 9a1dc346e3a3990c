"""What it costs to have AGL at hand: time, memory and packages, next to a bare interpreter and a bare web stack.

Each figure is of a fresh interpreter whose bytecode is written, as an installed copy has it. Memory is the peak.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter

from bench._harness import Comparison, Options, Report, interleaved

ROOT = Path(__file__).parents[1]
PROGRAMS = {
    "pass": "pass",
    "web stack": "import httpx, sqlite3, starlette.applications, uvicorn",
    "import agl_core": "import agl_core",
    "agl --help": "import sys; sys.argv = ['agl', '--help']; from agl_core.cli import main; main()",
}
"""What is compared: the bare limit, a peer that does no more than import what a small service needs, and ours."""

# VmHWM, not ru_maxrss: a child is credited with the peak of the process it was forked from.
PEAK = """
import atexit, re, sys
def peak():
    with open("/proc/self/status") as status:
        print(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1], file=sys.stderr)
atexit.register(peak)
"""


def seconds(program: str) -> float:
    """Wall time of one fresh interpreter that runs `program`."""
    before = perf_counter()
    subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=True)
    return perf_counter() - before


def megabytes(program: str) -> float:
    """Peak resident memory of one fresh interpreter that runs `program`; not a number where there is no /proc."""
    if not Path("/proc/self/status").exists():
        return float("nan")
    done = subprocess.run([sys.executable, "-c", PEAK + program], capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1]) / 1024


def run(options: Options) -> Report:
    """Row 12 of the goals."""
    for program in PROGRAMS.values():
        seconds(program)
    timed = {
        name: partial(lambda program: {"ms": seconds(program) * 1000}, program) for name, program in PROGRAMS.items()
    }
    weighed = {name: partial(lambda program: {"MB": megabytes(program)}, program) for name, program in PROGRAMS.items()}
    time = interleaved("start-up", timed, rounds=options.rounds_or(21), warm=False)
    memory = interleaved("start-up, memory", weighed, rounds=options.rounds_or(3), warm=False)
    count = interleaved("start-up, packages", {"agl-core": lambda: {"packages": packages()}}, rounds=1, warm=False)
    return Report.of(
        (time, [time.measure("wall time", "ms", *_TIME)]),
        (memory, [memory.measure("peak resident memory", "MB", *_MEMORY)]),
        (count, [count.measure("distributions that come with the core", "packages", *_PACKAGES)]),
    )


_TIME = (
    Comparison(of="import agl_core", at_most=150, row=12),
    Comparison(of="agl --help", at_most=300),
    Comparison(of="web stack", over="pass"),
    Comparison(of="import agl_core", over="pass"),
    Comparison(of="agl --help", over="pass"),
)
_MEMORY = (Comparison(of="import agl_core", at_most=45, row=12),)
_PACKAGES = (Comparison(of="agl-core", at_most=45, row=12),)


def packages() -> int:
    """How many distributions pip would install for the core alone, the core among them."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        subprocess.run([*pip, "--report", str(report), str(ROOT)], stderr=subprocess.DEVNULL, check=True)
        return len(json.loads(report.read_text())["install"])
