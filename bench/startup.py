"""What it costs to have AGL at hand: time, memory and packages, next to a bare interpreter and a bare web stack."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

ROOT = Path(__file__).parents[1]
ROUNDS = 21
GOALS = {"import agl_core": 0.15, "agl --help": 0.3}
MEMORY_GOAL = 45.0
PACKAGES_GOAL = 45
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


def medians(measure: Callable[[str], float], *, rounds: int) -> dict[str, float]:
    """The median of each program, all measured in turn: what slows the machine for a while slows them all."""
    samples: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(rounds):
        for name, program in PROGRAMS.items():
            samples[name].append(measure(program))
    return {name: median(values) for name, values in samples.items()}


def packages() -> int:
    """How many distributions pip would install for the core alone, the core among them."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
        subprocess.run([*pip, "--report", str(report), str(ROOT)], stderr=subprocess.DEVNULL, check=True)
        return len(json.loads(report.read_text())["install"])


def main() -> None:
    """Print the table."""
    for program in PROGRAMS.values():
        seconds(program)  # writes the bytecode, which an installed copy has

    time, memory = medians(seconds, rounds=ROUNDS), medians(megabytes, rounds=3)

    print(f"start-up, medians of {ROUNDS} interleaved runs\n")
    print(f"{'':18}{'ms':>8}{'/ pass':>8}{'goal':>8}{'MB':>8}{'goal':>8}")
    for name in PROGRAMS:
        goal = f"{GOALS[name] * 1000:.0f}" if name in GOALS else ""
        memory_goal = f"{MEMORY_GOAL:.0f}" if name == "import agl_core" else ""
        ratio = time[name] / time["pass"]
        print(f"{name:18}{time[name] * 1000:8.1f}{ratio:8.2f}{goal:>8}{memory[name]:8.1f}{memory_goal:>8}")
    print(f"\npackages for the core alone: {packages()} (goal {PACKAGES_GOAL})")


if __name__ == "__main__":
    main()
