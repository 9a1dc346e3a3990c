"""The vocabulary: everything that can happen, a family a file."""

from __future__ import annotations

from agl_core.events import _base
from agl_core.events import call as _call
from agl_core.events import plugin as _plugin
from agl_core.events import policy as _policy
from agl_core.events import replay as _replay
from agl_core.events import resources as _resources
from agl_core.events import reward as _reward
from agl_core.events import rollout as _rollout
from agl_core.events import run as _run
from agl_core.events import span as _span
from agl_core.events._base import *  # noqa: F403 - the families are the surface; each says what it exports
from agl_core.events.call import *  # noqa: F403
from agl_core.events.message import *  # noqa: F403
from agl_core.events.plugin import *  # noqa: F403
from agl_core.events.policy import *  # noqa: F403
from agl_core.events.replay import *  # noqa: F403
from agl_core.events.resources import *  # noqa: F403
from agl_core.events.reward import *  # noqa: F403
from agl_core.events.rollout import *  # noqa: F403
from agl_core.events.run import *  # noqa: F403
from agl_core.events.span import *  # noqa: F403

CORE_EVENTS: tuple[type[_base.Event], ...] = tuple(
    member
    for family in (_call, _plugin, _policy, _replay, _resources, _reward, _rollout, _run, _span)
    for name in family.__all__
    if isinstance(member := getattr(family, name), type) and issubclass(member, _base.Event)
)
"""Every event of the core."""

CORE_UPCASTS: tuple[_base.Upcast, ...] = ()
"""Every rung from a schema that was shipped once. Add, never delete."""
