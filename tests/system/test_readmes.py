"""The READMEs of the repository and of its plugins say what works."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = sorted([*ROOT.glob("plugins/*/README.md"), *ROOT.glob("adapters/*/README.md")])
SHORTER = {
    'algorithm="grpo"': 'algorithm={"name": "grpo", "steps": 2, "tasks_per_step": 2, "group_size": 2, "max_tokens": 8}',
    "tasks(seed=0)": "tasks(seed=0, train=4, val=1, test=2)",
}
"""The README's program with a model of random weights, two steps and two test tasks: minutes become seconds."""
MODEL = "import pathlib, agl_demo._tiny; agl_demo._tiny.build(pathlib.Path('model'), seed=0)"


def test_the_readme_can_be_followed(guide):
    """Its agent is trained by its program, for real, and its questions are answered from the log that leaves."""
    subprocess.run([sys.executable, "-c", MODEL], cwd=guide.folder, check=True)

    guide.follow(ROOT / "README.md", instead=SHORTER)


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.parent.name)
def test_the_readme_of_a_plugin_can_be_followed(guide, path):
    """Its programs run as they stand there."""
    guide.follow(path)
