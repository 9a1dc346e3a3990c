"""Where our extras point: at folders in a checkout, at versions in a release."""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

FOLDER = re.compile(r"\s*@\s*\{root:uri\}/\S+")


class ExtrasHook(MetadataHookInterface):
    """Fills `optional-dependencies` from the table in pyproject.toml.

    A path frozen into a wheel is dead on every other machine, so with AGL_RELEASE set, or in an sdist, where the
    folders are not, `@ {root:uri}/...` becomes `==version`. All our distributions share one version.
    """

    def update(self, metadata: dict[str, Any]) -> None:
        """Write the extras into `metadata`."""
        extras: dict[str, list[str]] = self.config["extras"]
        if os.environ.get("AGL_RELEASE") or not Path(self.root, "plugins").is_dir():
            pin = f"=={metadata['version']}"
            extras = {name: [FOLDER.sub(pin, line) for line in lines] for name, lines in extras.items()}
        metadata["optional-dependencies"] = extras
