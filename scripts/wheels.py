"""Build every distribution, as an sdist and the wheel made from it: `python scripts/wheels.py DIST`."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def projects() -> list[Path]:
    """The folders that are distributions, the core first."""
    return [ROOT, *(path.parent for path in sorted(ROOT.glob("*/agl-*/pyproject.toml")))]


def build(dist: Path) -> None:
    """Fill `dist`, with extras that name versions instead of folders."""
    for project in projects():
        # The hatchling of the dev group builds them: a fresh environment for each would take a minute and an index.
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(project)]
        subprocess.run(command, env={**os.environ, "AGL_RELEASE": "1"}, stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
