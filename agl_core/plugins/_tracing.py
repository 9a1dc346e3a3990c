"""Every plugin's tracer in place, and none of them in the way of what is traced."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from agl_core.errors import AglError, TracerFailed
from agl_core.events import PluginFailed
from agl_core.plugins._asking import GUILTY, Asking, told

if TYPE_CHECKING:
    from agl_core.recorder import Recorder

__all__ = ["tracing"]

_HOOK = "agl_install_tracer"
_log = logging.getLogger(__name__)


@contextmanager
def tracing(asking: Asking, recorder: Recorder, failed: Callable[[PluginFailed], None] | None) -> Iterator[None]:
    """Every tracer in place. The first that cannot attach is `TracerFailed`; `failed` is told of it instead."""
    with ExitStack() as attached:
        for impl in asking.each(_HOOK):
            try:
                tracer = asking.raw(_HOOK, impl, {"recorder": recorder})
                if tracer is not None:
                    attached.enter_context(_guest(impl.plugin_name, tracer, recorder))
            except GUILTY as error:  # a guest, of which nobody else knows what it raises
                why = error.why if isinstance(error, TracerFailed) else told(error)
                name = error.tracer if isinstance(error, TracerFailed) else impl.plugin_name
                if failed is None:
                    raise TracerFailed(name, why=why) from error
                failed(PluginFailed(name=name, hook=_HOOK, why=why))
        yield


@contextmanager
def _guest(name: str, tracer: AbstractContextManager[Any], recorder: Recorder) -> Iterator[None]:
    """It leaves without hearing what the run raised, so it can neither swallow that nor put its own in its place."""
    tracer.__enter__()
    try:
        yield
    finally:
        try:
            tracer.__exit__(None, None, None)
        except GUILTY as error:  # a guest: what was traced is done, and as good as it was
            _log.warning("tracer of plugin %r may have left a mark: %s", name, told(error))
            with suppress(AglError):
                recorder.note(PluginFailed(name=name, hook=_HOOK, why=f"on its way out: {told(error)}"))
