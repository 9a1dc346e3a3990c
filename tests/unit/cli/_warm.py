"""A process in which the command line is imported: it forks for each command that is typed, and imports nothing again.

What a test sees is a process of its own, with its own folder, environment and modules; it costs a tenth of one that
begins at nothing. That one is typed where the beginning itself is tested, and wherever a page is followed.
"""

import contextlib
import gc
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path


class Warm:
    """The process, from the first command to `close`."""

    def __init__(self):
        self._process = None

    def type(self, arguments, *, cwd, env):
        """As `subprocess.run([sys.executable, "-m", "agl_core.cli", *arguments], ...)` gives it, output as text."""
        if self._process is None:
            command = [sys.executable, __file__]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        words = [*map(str, arguments)]
        said = {name: Path(cwd, f".typed.{name}") for name in ("stdout", "stderr")}
        asked = {"words": words, "cwd": str(cwd), "env": dict(env), **{name: str(path) for name, path in said.items()}}
        print(json.dumps(asked), file=self._process.stdin, flush=True)
        code = self._process.stdout.readline()
        assert code, "the process that commands are forked from died: its last words are on stderr"
        stdout, stderr = (path.read_text() for path in said.values())
        for path in said.values():
            path.unlink()
        return subprocess.CompletedProcess(words, int(code), stdout, stderr)

    def close(self):
        """End it."""
        if self._process is not None:
            self._process.communicate()


def _serve():
    """A command a line, until there are no more; what its process ended with is the answer."""
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _become(json.loads(line))
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(asked):
    """Do what `python -m agl_core.cli` does, there, with that environment."""
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    for number, path in enumerate((os.devnull, asked["stdout"], asked["stderr"])):
        with Path(path).open("w" if number else "r") as file:
            os.dup2(file.fileno(), number)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the one before may hold the next command
    told = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [asked["cwd"], *(place for place in told if place and place not in sys.path)]
    sys.argv = ["agl", *asked["words"]]

    from agl_core.cli import main

    main()


def _import_all():
    """What most commands import, and every plugin that is installed."""
    import agl_core.cli
    import agl_core.gateway
    import agl_core.preflight
    import agl_core.trainer  # noqa: F401 - so that children have them

    for entry in importlib.metadata.entry_points(group="agl"):
        with contextlib.suppress(Exception):  # a plugin that is broken is the child's to tell
            entry.load()


if __name__ == "__main__":
    _import_all()
    gc.freeze()  # or each child would look through all of it when it ends
    _serve()
