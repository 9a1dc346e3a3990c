"""`import agl_core` and `agl --help` pay for nothing they do not use."""

import subprocess
import sys

import pytest

HEAVY = {
    "aiohttp",
    "duckdb",
    "httpx",
    "jinja2",
    "nanoarrow",
    "numpy",
    "openai",
    "opentelemetry",
    "sqlite_utils",
    "starlette",
    "torch",
    "transformers",
    "uvicorn",
}


@pytest.mark.parametrize(
    "program",
    [
        "import agl_core",
        "import sys, agl_core.cli; sys.argv = ['agl', '--help']; agl_core.cli.main()",
    ],
    ids=["import agl_core", "agl --help"],
)
def test_starting_loads_nothing_heavy(program):
    """What is heavy is imported where it is used."""
    report = "import atexit, sys; atexit.register(lambda: print('\\nloaded', *sys.modules)); "

    done = subprocess.run([sys.executable, "-c", report + program], capture_output=True, text=True, check=True)

    loaded = set(done.stdout.splitlines()[-1].split()[1:])
    assert not loaded & HEAVY


def test_looking_for_plugins_opens_no_log():
    """To list commands takes the plugins, and nothing of what reads and writes."""
    program = "import sys, agl_core.cli; sys.argv = ['agl', '--plugins', 'none', '--help']; agl_core.cli.main()"
    report = "import atexit, sys; atexit.register(lambda: print('\\nloaded', *sys.modules)); "

    done = subprocess.run([sys.executable, "-c", report + program], capture_output=True, text=True, check=True)

    loaded = set(done.stdout.splitlines()[-1].split()[1:])
    assert not loaded & {"agl_core.log", "agl_core.codec", "asyncio"}
