"""Python, packages and plugins: versions, conflicts, and what was tested with what."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import Distribution, distributions
from typing import Any

from agl_core.preflight._check import Check, Finding, Given

__all__ = ["CHECKS"]

_OURS = "agl-"


def _python(_given: Given) -> Iterator[Finding]:
    yield Finding(status="ok", what=f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")


def _packages(_given: Given) -> Iterator[Finding]:
    """Ours; and of what our plugins drive, whether it is a version that they were tested with."""
    installed = _installed()
    ours = {name: found for name, found in installed.items() if name.startswith(_OURS)}
    yield Finding(status="ok", what=", ".join(f"{name} {found.version}" for name, found in sorted(ours.items())))
    tested: dict[str, list[str]] = {}
    for plugin, found in sorted(ours.items()):
        for wanted in _frameworks(found):
            framework = installed.get(_name(wanted.name))
            if framework is None:
                continue
            version = framework.version
            if wanted.specifier.contains(version, prereleases=True):
                tested.setdefault(f"{wanted.name} {version}", []).append(plugin)
                continue
            yield Finding(
                status="warn", code="UNTESTED_VERSION",
                what=f"{wanted.name} {version}; {plugin} was tested with {wanted.specifier}",
                cure=f"pip install '{wanted.name}{wanted.specifier}'",
            )  # fmt: skip
    if tested:
        shown = (f"{framework} ({', '.join(plugins)})" for framework, plugins in sorted(tested.items()))
        yield Finding(status="ok", what=f"of versions that were tested: {', '.join(shown)}")


def _dependencies(_given: Given) -> Iterator[Finding]:
    """What `pip check` says."""
    if _packaging("requirements") is None:
        yield Finding(status="skipped", what="not checked: `pip install packaging` brings what reads requirements")
        return
    installed, conflicts = _installed(), 0
    for name, found in sorted(installed.items()):
        for wanted in _requirements(found):
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
                continue
            there = installed.get(_name(wanted.name))
            if there is not None and (wanted.url or wanted.specifier.contains(there.version, prereleases=True)):
                continue
            conflicts += 1
            yield Finding(
                # What is missing may be left out on purpose (`--no-deps`); what is wrong is wrong for all.
                status="fail" if there else "warn", code="DEPENDENCY_CONFLICT",
                what=f"{name} {found.version} wants {wanted.name}{wanted.specifier}, and "
                + (f"{there.version} is installed" if there else "it is not installed"),
                cure=f"pip install '{wanted.name}{wanted.specifier}', or give what conflicts an environment of its own",
            )  # fmt: skip
    if not conflicts:
        yield Finding(status="ok", what=f"{len(installed)} packages, and each has what it wants")


def _plugins(given: Given) -> Iterator[Finding]:
    broken = [plugin for plugin in given.plugins.loaded if plugin.error]
    for plugin in broken:
        yield Finding(
            status="fail", code="PLUGIN_BROKEN", what=f"plugin {plugin.name!r} cannot be loaded: {plugin.error}",
            cure=f"install what it misses, or leave it out: AGL_DISABLE_PLUGINS={plugin.name}",
        )  # fmt: skip
    good = sorted(plugin.name for plugin in given.plugins.loaded if not plugin.error)
    yield Finding(status="ok", what=f"{len(good)} loaded: {', '.join(good)}")


def _frameworks(plugin: Distribution) -> Iterator[Any]:
    """What a plugin's extras ask for: versions it was tested with."""
    for wanted in _requirements(plugin):
        if wanted.marker is not None and "extra" in str(wanted.marker) and not wanted.name.startswith(_OURS):
            yield wanted


def _installed() -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    for distribution in distributions():
        name = distribution.metadata["Name"]
        if name:  # a half-removed package has none
            found.setdefault(_name(name), distribution)
    return found


def _name(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _requirements(distribution: Distribution) -> Iterator[Any]:
    reader = _packaging("requirements")
    for line in (distribution.requires or ()) if reader is not None else ():
        try:
            yield reader.Requirement(line)
        except reader.InvalidRequirement:
            continue  # pip would not have read it either


def _packaging(module: str) -> Any:
    """The library that pip itself reads requirements with: on its own, or inside pip."""
    for place in ("packaging", "pip._vendor.packaging"):
        try:
            return import_module(f"{place}.{module}")
        except ImportError:
            continue
    return None


CHECKS = (
    Check(name="python", look=_python),
    Check(name="packages", look=_packages),
    Check(name="dependencies", look=_dependencies),
    Check(name="plugins", look=_plugins),
)
