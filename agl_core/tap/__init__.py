"""Model calls that go to a provider directly: seen in the HTTP clients of this process, attributed by context."""

from __future__ import annotations

from agl_core.tap._attaching import Attaching, Part
from agl_core.tap._following import followed
from agl_core.tap._importing import Importing
from agl_core.tap._patch import Patch
from agl_core.tap._strays import STRAYS
from agl_core.tap._tapped import tapped, tapping

__all__ = ["STRAYS", "Attaching", "Importing", "Part", "Patch", "followed", "tapped", "tapping"]
