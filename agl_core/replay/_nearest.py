"""Of the calls that a request is not, the one that it was most likely meant to be."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import takewhile

from agl_core.events import ModelCall
from agl_core.replay._forms import Form
from agl_core.replay._tape import Taped

__all__ = ["nearest"]

_READ = 400
"""Characters at the end of the last message that are compared."""
_ALIKE = 0.5
"""How much of them two requests have in common that are near each other."""


def nearest(asked: ModelCall, place: str | None, among: Sequence[Taped], form: Form) -> Taped | None:
    """The call that stands in that place; else the one that begins, and then ends, most alike. None is like any."""
    near = {one.call_id: _nearness(asked, place, one, form) for one in among}
    found = max(among, key=lambda one: near[one.call_id])
    return found if any(near[found.call_id]) else None


def _nearness(asked: ModelCall, place: str | None, one: Taped, form: Form) -> tuple[bool, int, float]:
    now, then = asked.messages, form(one.call.call).messages
    lead = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(now, then, strict=False)))
    alike = 0.0
    if now and then:
        texts = [str(side[-1].content)[-_READ:] for side in (now, then)]
        alike = SequenceMatcher(a=texts[0], b=texts[1], autojunk=False).ratio()
    return place is not None and place == one.call.place, lead, alike if alike >= _ALIKE else 0.0
