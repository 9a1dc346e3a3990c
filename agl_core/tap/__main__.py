"""`python -m agl_core.tap PROGRAM`: run it, followed."""

from __future__ import annotations

import sys

from agl_core.tap._following import main

sys.exit(main(sys.argv[1:]))
