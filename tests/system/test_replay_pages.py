"""What the pages of the frameworks do is done again from the log alone: their models are gone by then."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import agl_core as agl
from agl_core.events import RunStarted

ROOT = Path(__file__).parents[2]
FRAMEWORKS = {
    "anthropic": "anthropic",
    "autogen": "autogen_ext",
    "crewai": "crewai",
    "dspy": "openinference.instrumentation.dspy",
    "google-adk": "google.adk",
    "langchain": "langchain_openai",
    "litellm": "litellm",
    "openai": "openai",
    "openai-agents": "agents",
    "pydantic-ai": "pydantic_ai",
    "smolagents": "openinference.instrumentation.smolagents",
}
"""Page to a module that its framework brings."""

QUIET = "CREWAI_DISABLE_TELEMETRY=true CREWAI_TESTING=true"

pytestmark = [pytest.mark.slow]


def is_installed(module: str) -> bool:
    """Found, and not imported: some take ten seconds for that."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # what it is a part of
        return False


@pytest.mark.parametrize("page", FRAMEWORKS)
def test_the_agent_of_a_page_runs_again_from_its_log(guide, page):
    """Each rollout ends with the same messages, tool calls and reward; nothing but the log is there to answer."""
    if not is_installed(FRAMEWORKS[page]):
        pytest.skip(f"{page} is not installed here")
    guide.follow(ROOT / "docs" / "how-to" / f"trace-{page}.md")
    with agl.open_log(str(guide.folder / ".agl" / "log.db"), readonly=True) as log:
        runs = [record.event for record in log.read(types=[RunStarted.type])]
    assert runs

    for run in runs:
        line = f"{QUIET} agl replay {run.run_id} --mode execute --agent {agent_of(run, guide.folder)}"
        said = guide.run(["sh", "-c", line], is_strict=False)  # what frameworks warn of is theirs to mend

        replayed, of = re.search(r"(\d+) of (\d+) the same", said).groups()
        assert int(replayed) == int(of) > 0


def agent_of(run: RunStarted, folder: Path) -> str:
    """Where its code lies: a program that was started has no name to be imported by."""
    module, _, name = run.agent.name.partition(":")
    if module != "__main__":
        return run.agent.name
    is_its = re.compile(rf"^(async )?def {name}\(", re.MULTILINE)
    (file,) = [file for file in folder.glob("*.py") if is_its.search(file.read_text())]
    return f"{file.stem}:{name}"
