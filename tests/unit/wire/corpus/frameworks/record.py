"""Records what agent frameworks send, and whether the tap sees it: `python record.py LINE`, where LINE names a folder.

A line is an environment: frameworks that are installed together. Each that is there lives through its stories in a
process of its own, against a scripted model on this machine, and is told to be silent to all others. A story is an
attempt with the tap in place: `asked` is how many requests the model had, and `tapped` how many of them the log has as
calls of that attempt, answered, and saying the same. `requirements.txt` in the folder says what it has beside AGL.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from story import Story

from agl_core.events import CallRecorded, ModelCall
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder, Scope, attributed
from agl_core.store import Store
from agl_core.tap import tapped
from agl_core.testing import Asked, ScriptedModel
from agl_core.wire import DIALECTS

HERE = Path(__file__).parent
PYTHON = re.compile(r"; python/[\d.]+")
"""Of who records, not of what is recorded."""
ROUTES = {dialect.ROUTE: dialect for dialect in DIALECTS.values()}
"""What else is asked, such as how many tokens a request has, is no model call."""
SILENT = {
    "ANONYMIZED_TELEMETRY": "False",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OTEL_SDK_DISABLED": "true",
}


def main(line: str, *only: str) -> None:
    """Record the frameworks of this environment, or some of them."""
    for path in sorted((HERE / "stories").glob("*.py")):
        if only and path.stem not in only:
            continue
        written = HERE / line / f"{path.stem}.json"
        with TemporaryDirectory() as home:
            # Some keep settings and caches at home, and what they found there would be in what they send.
            told = subprocess.run(
                [sys.executable, "-c", f"import record; record.tell({path.stem!r}, {str(written)!r})"],
                cwd=home,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE), "HOME": home, **SILENT},
                check=False,
                capture_output=True,
                text=True,
            )
        print(f"{path.stem}:", *(told.stderr if told.returncode else told.stdout).splitlines()[-1:])


def tell(name: str, written: str) -> None:
    """Live through all stories of a framework, and write down what came of them."""
    module = import_module(f"stories.{name}")
    stories = {story.name: _told(story) for story in module.STORIES}
    found = {"packages": dict(_versions(module.PACKAGES)), "stories": stories}
    # A line a value, for who compares; indented, a quarter of it would be spaces.
    Path(written).write_text(json.dumps(found, ensure_ascii=False, indent=0) + "\n")
    print()  # some leave a line unfinished
    print(*(f"{key} {told['tapped']}/{told['asked']}" for key, told in stories.items()), sep=", ")


def _told(story: Story) -> dict[str, Any]:
    answers = iter(story.answers)
    with TemporaryDirectory() as folder, SqliteLog(Path(folder) / "run.db", projections=CORE) as log:
        store = Store(log)
        rollout = asyncio.run(store.start_rollout({"story": story.name}))
        ids = {"rollout_id": rollout.rollout_id, "attempt_id": rollout.attempt.attempt_id}
        scope = Scope(recorder=Recorder(log), run_id=None, **ids)
        script = lambda asked: next(answers) if _route(asked) in ROUTES else ""  # noqa: E731 - it is of this story
        with ScriptedModel(script) as model, tapped(), attributed(scope):
            said = str(story.tell(model))
        for pending in list(scope.pending):
            pending.result(timeout=30)
        calls = [record.event for record in log.read() if isinstance(record.event, CallRecorded)]
        store.close()
    assert story.ends in said, (story.name, said)
    asked = [one for one in model.requests if _route(one) in ROUTES]
    missed = [_as_read(ROUTES[_route(one)].request(one.body)) for one in asked]
    for event in calls:
        assert event.status == "ok", (story.name, event)
        missed.remove(_as_read(event.call))  # which raises, if nobody asked this, or if it is there twice
    return {
        "client": _only(PYTHON.sub("", one.headers.get("user-agent", "")) for one in asked),
        "marks": sorted({name for one in asked for name in one.headers if name.startswith("x-stainless-")}),
        "asked": len(asked),
        "tapped": len(asked) - len(missed),
        "requests": [{"route": _route(one), "body": one.body} for one in asked],
    }


def _route(asked: Asked) -> str:
    return asked.path.partition("?")[0].removeprefix("/v1/")


def _as_read(call: ModelCall) -> dict[str, Any]:
    return DIALECTS[call.dialect].render_request(call)


def _only(values: Iterable[str]) -> str:
    (value,) = set(values)
    return value


def _versions(packages: Sequence[str]) -> Iterator[tuple[str, str]]:
    for package in packages:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


if __name__ == "__main__":
    main(*sys.argv[1:])
