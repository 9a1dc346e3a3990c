"""A check and what it finds; one that raises, or does not end, has failed, and the others go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from agl_core.errors import AglError
from agl_core.preflight._codes import page_of

if TYPE_CHECKING:
    from agl_core.plugins import Plugins

__all__ = ["Check", "Finding", "Given", "Status", "examined", "looked", "told"]

Status = Literal["ok", "warn", "fail", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that a check found, in a sentence."""

    status: Status
    """`skipped` where there is nothing to look at here."""
    what: str
    code: str = ""
    """A stable name for programs; none where all is well."""
    cure: str = ""
    """What to do, where something is to be done."""
    check: str = ""
    """Who found it; `examined` puts it in."""
    plugin: str = ""

    @property
    def page(self) -> str | None:
        """Where the cure is told at length."""
        return page_of(self.code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a doctor was told to look at."""

    log: Path
    plugins: Plugins
    environment: Mapping[str, str]
    models: Mapping[str, str] = field(default_factory=dict)
    """Name to engine URL."""
    tasks: Mapping[str, str | Path] = field(default_factory=dict)
    """Split to where its tasks are."""
    read: Callable[[str | Path], Sequence[Any]] = lambda _path: ()
    """Reads what is there."""
    mcp: Sequence[str] = ()
    """Commands of MCP servers, or files that name some."""
    port: int = 0
    timeout: float = 60.0
    """Seconds that a model, a server or a check may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something that a doctor looks at. It changes nothing."""

    name: str
    look: Callable[[Given], Iterable[Finding]]
    """What is there to be said; an `AglError` that it raises is a finding with that error's code."""


def examined(given: Given) -> Iterator[Finding]:
    """What every check of every plugin finds, those of the core first, then A to Z."""
    impls = given.plugins.hook.agl_register_checks.get_hookimpls()
    for impl in sorted(impls, key=lambda impl: (impl.plugin_name != "builtin", impl.plugin_name)):
        plugin, register = impl.plugin_name, cast("Callable[[], Iterable[Check]]", impl.function)
        try:
            checks = list(register())
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a guest
            yield _raised(error, check="agl_register_checks", plugin=plugin)
            continue
        for check in checks:
            yield from looked(check, given, plugin)


def told(error: AglError, *, check: str, plugin: str = "", status: Status = "fail") -> Finding:
    """An error of ours as a finding; its message has the cure."""
    return Finding(status=status, what=str(error), code=error.code, check=check, plugin=plugin)


def looked(check: Check, given: Given, plugin: str = "builtin") -> list[Finding]:
    """What one check finds; a check that raises finds that."""
    name = str(getattr(check, "name", check))
    ended: Future[list[Finding]] = Future()

    def look() -> None:
        try:
            ended.set_result(list(check.look(given)))
        except BaseException as error:  # noqa: BLE001 - carried to the one who waits
            ended.set_exception(error)

    # Daemon: a check that hangs must not keep the doctor.
    threading.Thread(target=look, name=f"agl-check-{name}", daemon=True).start()
    try:
        found = ended.result(timeout=given.timeout * (2 + len(given.models) + len(given.mcp)))
        return [replace(finding, check=name, plugin=plugin) for finding in found]
    except AglError as error:
        return [told(error, check=name, plugin=plugin)]
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a guest
        return [_raised(error, check=name, plugin=plugin)]


def _raised(error: BaseException, *, check: str, plugin: str) -> Finding:
    why = "it did not end" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
    return Finding(
        status="fail", code="CHECK_FAILED", check=check, plugin=plugin,
        what=f"plugin {plugin!r}: its check could not be made ({why})",
        cure=f"report it to whoever keeps {plugin}, or leave the plugin out: AGL_DISABLE_PLUGINS={plugin}",
    )  # fmt: skip
