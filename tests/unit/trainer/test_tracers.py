"""A tracer proves that it sees something before money is spent, or the run does not begin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import agl_core as agl
from agl_core.errors import TracerFailed
from agl_core.hookspecs import hookimpl
from agl_core.plugins import Plugins
from agl_core.trainer import Trainer

RAN: list[Any] = []


@agl.rollout
async def agent(task: Any) -> float:
    """Says that it ran."""
    RAN.append(task)
    return 1.0


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Plugins:
    """Those of the core, and a tracer that fails as it is entered."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    monkeypatch.delenv("AGL_ON_TRACER_ERROR", raising=False)
    RAN.clear()

    class Blind:
        @hookimpl
        def agl_install_tracer(self, recorder: Any) -> Any:
            """Cannot attach."""

            @contextmanager
            def tracer() -> Iterator[None]:
                raise AttributeError("Client.send is gone")
                yield

            return tracer()

    found = Plugins.load()
    found.register(Blind(), name="blind")
    return found


def test_a_tracer_that_cannot_attach_fails_the_run_before_it_begins(tmp_path: Path, plugins: Plugins):
    """No rollout has run; the error names the tracer, and the way on."""
    with pytest.raises(TracerFailed, match=r"blind.*Client\.send is gone.*on_tracer_error"):
        Trainer(store=str(tmp_path / "log.db"), plugins=plugins).fit(agent, [1])

    assert RAN == []


@pytest.mark.parametrize("way", ["argument", "environment"])
def test_a_run_may_go_on_without_it(tmp_path: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch, way: str):
    """Then the log says that it did."""
    if way == "environment":
        monkeypatch.setenv("AGL_ON_TRACER_ERROR", "warn")
    options: dict[str, Any] = {"on_tracer_error": "warn"} if way == "argument" else {}

    summary = Trainer(store=str(tmp_path / "log.db"), plugins=plugins, **options).fit(agent, [1])

    assert (summary.status, RAN) == ("finished", [1])
    with agl.open_log(str(tmp_path / "log.db"), readonly=True) as log:
        failed = [record.event for record in log.read(types=["plugin.failed"])]
    assert [(event.name, event.hook) for event in failed] == [("blind", "agl_install_tracer")]
    assert "Client.send is gone" in failed[0].why


def test_a_client_that_the_tap_cannot_patch_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugins: Plugins
):
    """It would pass calls by unseen: another version, with another shape."""
    from agl_core.tap import _tapped

    monkeypatch.setitem(__import__("sys").modules, "agl_client", SimpleNamespace())
    monkeypatch.setattr(_tapped, "_of_this_process", lambda: tap)
    tap = _tapped.Tap({"agl_client": lambda module: [module.Client]})
    plugins.manager.unregister(name="blind")

    with pytest.raises(TracerFailed, match=r"'tap'.*agl_client: AttributeError"):
        Trainer(store=str(tmp_path / "log.db"), plugins=plugins).fit(agent, [1])

    assert RAN == []
    assert tap.attached == ()
