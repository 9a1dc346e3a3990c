"""The generated pages are what the code says today."""

import inspect
import runpy
from pathlib import Path

import pytest

from agl_core import errors, events, hookspecs

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(ROOT.glob("scripts/docs_*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_generated_page_is_fresh(path):
    """`make docs` writes them all."""
    script = runpy.run_path(str(path))

    assert script["PAGE"].read_text("utf-8") == script["reference"](), f"run python scripts/{path.name}"


def test_every_hook_stands_in_the_reference_with_its_arguments():
    """Whatever the script does: name, arguments in order, types."""
    text = " ".join((ROOT / "docs" / "reference" / "hooks.md").read_text().split())
    hooks = {
        name: hook for name, hook in vars(hookspecs).items() if inspect.isfunction(hook) and hasattr(hook, "agl_spec")
    }

    assert len(hooks) > 12
    for name, hook in hooks.items():
        arguments = ", ".join(
            f"{argument}: {hook.__annotations__[argument]}" for argument in inspect.signature(hook).parameters
        )
        shown = text.partition(f"def {name}(")[2].partition(") ->")[0].strip(" ,")
        assert shown == " ".join(arguments.split()), name


def test_every_code_and_every_event_type_stands_in_the_references():
    """None is missing because its family has no section."""
    codes = (ROOT / "docs" / "reference" / "errors.md").read_text()
    types = (ROOT / "docs" / "reference" / "events.md").read_text()

    missing = [name for name in errors.__all__ if f"`{name}`" not in codes]
    assert missing == ["AglError"]
    assert [event.type for event in events.CORE_EVENTS if f"### {event.type}," not in types] == []
