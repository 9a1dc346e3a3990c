"""What a page says works: its files, its commands and what they print."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITH_FRAMEWORKS = {"docs/how-to/fine-tune.md"}
"""Pages that need plugins; tests/system follows them."""
WITH_MORE = {
    "docs/how-to/datasets.md",
    "docs/how-to/query-a-log.md",
    "docs/how-to/point-an-agent-at-agl.md",
    "docs/reference/wire.md",
}
"""Pages that need frames, or OpenAI's library, which the core alone goes without."""
WITH_FRAMEWORK = {
    "docs/how-to/coming-from-agent-lightning.md": "agl_triplets",
    "docs/how-to/explain-a-rollout.md": "agl_rewards",
    "docs/how-to/export-rows.md": "agl_messages",
    "docs/how-to/export-traces.md": "openai",
    "docs/how-to/failures.md": "agl_triplets",
    "docs/how-to/learn-from-a-log.md": "agl_apo",
    "docs/how-to/optimise-a-prompt.md": "agl_apo",
    "docs/how-to/re-project.md": "agl_triplets",
    "docs/how-to/select-an-agent.md": "agl_triplets",
    "docs/how-to/trace-anthropic.md": "anthropic",
    "docs/how-to/trace-crewai.md": "crewai",
    "docs/how-to/trace-autogen.md": "autogen_ext",
    "docs/how-to/trace-dspy.md": "openinference.instrumentation.dspy",
    "docs/how-to/trace-google-adk.md": "google.adk",
    "docs/how-to/trace-langchain.md": "langchain_openai",
    "docs/how-to/trace-litellm.md": "litellm",
    "docs/how-to/trace-openai-agents.md": "agents",
    "docs/how-to/trace-openai.md": "openai",
    "docs/how-to/trace-pydantic-ai.md": "pydantic_ai",
    "docs/how-to/trace-smolagents.md": "openinference.instrumentation.smolagents",
}
"""Pages that need a framework, by a module it brings."""
WITH_PROGRAMS = {"docs/how-to/agents-in-other-languages.md": ("curl", "node")}
"""Pages that run programs which need not be on every machine."""
PAGES = sorted(path for path in ROOT.glob("docs/**/*.md") if path.relative_to(ROOT).as_posix() not in WITH_FRAMEWORKS)


def is_installed(module: str) -> bool:
    """Found, and not imported: some take ten seconds for that."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # what it is a part of
        return False


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_can_be_followed(guide, path):
    """Every fence runs, or says why not."""
    if path.relative_to(ROOT).as_posix() in WITH_MORE and find_spec("importlinter") is None:
        pytest.skip("the core alone is tested without frames and frameworks")
    module = WITH_FRAMEWORK.get(path.relative_to(ROOT).as_posix())
    if module is not None and not is_installed(module):
        pytest.skip(f"{module} is not installed here")
    for program in WITH_PROGRAMS.get(path.relative_to(ROOT).as_posix(), ()):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed here")
    guide.follow(path)
