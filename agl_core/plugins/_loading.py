"""One plugin imported: what that raises stays its own affair, and one that takes long is named."""

from __future__ import annotations

import functools
import logging
import sys
import time
import traceback
from threading import Timer

from agl_core.errors import PluginBroken
from agl_core.plugins._asking import told
from agl_core.plugins._found import Found, Loaded

__all__ = ["broken", "imported", "say_once"]

_LONG = 5.0
"""Seconds of loading after which a plugin is named."""
_log = logging.getLogger(__name__)


def imported(one: Found) -> tuple[object, float | None]:
    """What its entry point names, and the milliseconds that took; `PluginBroken` whatever it raises.

    Nothing can stop an import but who started the process: one that hangs is named, so that it can be left out.
    """
    if one.fault:
        raise PluginBroken(one.name, why=one.fault)
    (entry,) = one.entries
    without = f"AGL_DISABLE_PLUGINS={one.name} goes on without it"
    overdue = Timer(_LONG, _log.warning, [f"plugin {one.name!r} is still loading after {_LONG:g} s: {without}"])
    overdue.daemon = True
    began = time.perf_counter()
    overdue.start()
    try:
        is_new = entry.module not in sys.modules
        plugin: object = entry.load()
    except KeyboardInterrupt as error:
        error.add_note(f"while plugin {one.name!r} was loading")
        raise
    except BaseException as error:  # a guest: SystemExit too, and what compiled modules raise beside Exception
        raise PluginBroken(one.name, why=told(error)) from error
    finally:
        overdue.cancel()
    return plugin, round(1000 * (time.perf_counter() - began), 2) if is_new else None


def broken(one: Found, error: PluginBroken) -> Loaded:
    """How it is listed."""
    cause = error.__cause__
    return Loaded(
        name=one.name,
        version=one.version,
        distribution=one.distribution,
        error=error.why,
        traceback="".join(traceback.format_exception(cause)) if cause else None,
    )


@functools.cache
def say_once(name: str, why: str) -> None:
    """Warn that a plugin is left out: what it would have brought is missing from all that follows. Once a process."""
    _log.warning("plugin %r is broken, and left out: %s", name, why)
