"""Code by the name that it can be imported with: `module:name`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from agl_core.agents._litagent import LitAgent
from agl_core.errors import BadValue, RunNotImportable

__all__ = ["find_agent", "import_path"]


def find_agent(spec: Any) -> LitAgent[Any]:
    """The agent that `spec` means: an instance, a class, or an import path."""
    found = import_path(spec) if isinstance(spec, str) else spec
    found = found() if isinstance(found, type) else found
    if not isinstance(found, LitAgent):
        raise BadValue("agent", spec, why="an agent is a function with @agl.rollout, or a LitAgent")
    return found


def import_path(path: str) -> Any:
    """What `module:name` or `module.name` means; the working directory is looked in too, as `python -m` does."""
    module, colon, name = path.partition(":")
    if not colon:
        module, _, name = path.rpartition(".")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise RunNotImportable(path, why=str(error)) from error
    except ValueError:
        raise RunNotImportable(path, why="write it as `module:name`") from None
    for part in name.split("."):
        if not hasattr(found, part):
            raise RunNotImportable(path, why=f"module {module} has no {name!r}")
        found = getattr(found, part)
    return found
