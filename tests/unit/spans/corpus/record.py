"""Records the spans of real instrumentations: `python record.py LINE`, where LINE names a folder.

A line is an environment: instrumentations that are installed together, as `requirements.txt` in the folder says. Each
story that finds its packages is told in a process of its own, against a scripted model on this machine, with a
provider of ours; its spans are written down as the log would keep them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from story import Story

from agl_core.spans import from_otel
from agl_core.testing import ScriptedModel

HERE = Path(__file__).parent
OF_THE_MACHINE = ("cpu.", "host.", "memory.")
"""What AgentOps tells of who records, not of what is recorded."""
SILENT = {"DO_NOT_TRACK": "1", "LANGSMITH_TRACING": "false", "TRACELOOP_TELEMETRY": "false"}


def main(line: str, *only: str) -> None:
    """Record the stories of this environment, or some of them."""
    for path in sorted((HERE / "stories").glob("*.py")):
        if only and path.stem not in only:
            continue
        for story in import_module(f"stories.{path.stem}").STORIES:
            if not all(map(_version, story.packages)):
                continue
            told = _told(path.stem, story, HERE / line / f"{story.name}.json")
            print(f"{story.name}:", *(told.stderr if told.returncode else told.stdout).splitlines()[-1:])


def tell(module: str, name: str, written: str) -> None:
    """Tell one story, and write down which spans it had."""
    story = next(story for story in import_module(f"stories.{module}").STORIES if story.name == name)
    exported = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exported))
    answers = iter(story.answers)
    with ScriptedModel(lambda _asked: next(answers)) as model:
        story.tell(provider, model)
    spans = [from_otel(span, rollout_id="ro-1", attempt_id="at-1") for span in exported.get_finished_spans()]
    spans = [replace(span, attributes=_of_the_story(span.attributes)) for span in spans]
    packages = {package: _version(package) for package in story.packages}
    found = {"packages": packages, "spans": msgspec.to_builtins(spans)}
    Path(written).parent.mkdir(exist_ok=True)
    # A line a value, for who compares.
    Path(written).write_text(json.dumps(found, ensure_ascii=False, indent=0) + "\n")
    print(len(spans), "spans")


def _told(module: str, story: Story, written: Path) -> subprocess.CompletedProcess[str]:
    with TemporaryDirectory() as home:
        return subprocess.run(
            [sys.executable, "-c", f"import record; record.tell({module!r}, {story.name!r}, {str(written)!r})"],
            cwd=home,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": f"{HERE}:{os.environ.get('PYTHONPATH', '')}",
                "HOME": home,
                **SILENT,
                **story.environment,
            },
            check=False,
            capture_output=True,
            text=True,
        )


def _of_the_story(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if not name.startswith(OF_THE_MACHINE)}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main(*sys.argv[1:])
