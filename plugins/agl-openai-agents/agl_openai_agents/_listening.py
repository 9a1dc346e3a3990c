"""Stands in front of the SDK's trace provider, and hears of each span without changing what the host sees."""

from __future__ import annotations

import logging
from inspect import signature
from typing import Any
from weakref import WeakValueDictionary

from agl_core.errors import OutsideAttempt
from agl_core.recorder import current
from agl_openai_agents._heard import Heard, here
from agl_openai_agents._uploading import Uploading

__all__ = ["Listening"]

_NO_ID = "no-op"
"""What the SDK calls every span that it does not keep."""
_PROMISED = ("start", "finish", "set_error", "error", "span_data", "span_id", "trace_id", "__enter__", "__exit__")
_log = logging.getLogger(__name__)


class Listening:
    """A trace provider that is the host's in all but this: spans of attempts are heard.

    In front of the provider and not among its processors: a host that sets its own processors would throw ours out,
    one that has tracing off has no spans for any processor, and the SDK has no way to take one processor away again.
    """

    def __init__(self, tracing: Any, provider: Any) -> None:
        """Not put in yet; `tracing` is the SDK's module."""
        self._tracing, self._provider = tracing, provider
        self._is_on = True
        self._heard: WeakValueDictionary[str, Heard] = WeakValueDictionary()
        self._uploading: Uploading | None = None

    @property  # type: ignore[misc]  # `object` says it can be set: nobody does
    def __class__(self) -> Any:
        """The SDK's: it asks, at the end of the process, how long it may wait for its own."""
        return type(self._provider)

    def __getattr__(self, name: str) -> Any:
        """What the host's provider has."""
        if name == "_provider":  # asked for by `copy`, before it is there
            raise AttributeError(name)
        return getattr(self._provider, name)

    def start(self) -> None:
        """Stand in front. Raises where the SDK does not make spans as it does in the versions this is written for."""
        data = self._tracing.AgentSpanData(name="agl")
        signature(self._provider.create_span).bind(data, span_id=None, parent=None, disabled=False)
        missing = [name for name in _PROMISED if not hasattr(self._tracing.Span, name)]
        if missing or (data.type, data.name) != ("agent", "agl") or not callable(self._provider.get_current_span):
            raise TypeError(f"its spans are not what they were: {', '.join(missing) or 'other data'}")
        uploading = Uploading(self._tracing.processors)
        self._tracing.set_trace_provider(self)
        if self._tracing.get_trace_provider() is not self:
            raise TypeError("it takes no other trace provider")
        uploading.stop()
        self._uploading = uploading

    def create_span(self, span_data: Any, span_id: Any = None, parent: Any = None, disabled: bool = False) -> Any:  # noqa: FBT001, FBT002 - the SDK's
        """The host's span; a heard one where an attempt is under way."""
        given = parent.span if isinstance(parent, Heard) else parent
        span = self._provider.create_span(span_data, span_id=span_id, parent=given, disabled=disabled)
        if not self._is_on:
            return span
        try:
            return self._hear(span, parent)
        except OutsideAttempt:
            return span
        except Exception as error:  # noqa: BLE001 - the rim: the agent has its span, whether we hear of it or not
            _log.warning("a span of an agent cannot be heard (%s)", type(error).__name__)
            return span

    def get_current_span(self) -> Any:
        """The host's; where that keeps nothing, ours, so that we hear what goes wrong in it."""
        span = self._provider.get_current_span()
        heard = here()
        return heard if heard is not None and heard.span is span and span.span_id == _NO_ID else span

    def stop(self) -> None:
        """Hear no more: whoever keeps this has the host's provider in it."""
        self._is_on = False
        if self._uploading is not None:
            self._uploading.resume()
        # A host that has put in another one meanwhile keeps that.
        if self._tracing.get_trace_provider() is self:
            self._tracing.set_trace_provider(self._provider)

    def _hear(self, span: Any, parent: Any) -> Heard:
        heard = Heard(span, current("a span of an agent"), self._found(parent))
        if span.span_id != _NO_ID:
            self._heard[span.span_id] = heard
        return heard

    def _found(self, parent: Any) -> Heard | None:
        """The span that one is made under; nothing for a trace, which is none."""
        if parent is None or isinstance(parent, Heard):
            return parent or here()
        return self._heard.get(getattr(parent, "span_id", _NO_ID))
