"""Every code that pre-flight or the doctor says has a page with its cure, and every page a code."""

import re
from pathlib import Path

import pytest

from agl_core import errors
from agl_core.errors import PreflightError
from agl_core.preflight import DOCTOR, page_of

ROOT = Path(__file__).parents[3]
if not (ROOT / "docs").is_dir():
    pytest.skip("the pages are not here", allow_module_level=True)
CODES = sorted(
    {*DOCTOR, *(error.code for error in PreflightError.__subclasses__())}
    | {code for name in errors.__all__ if page_of(code := getattr(errors, name).code)}
)


@pytest.mark.parametrize("code", CODES)
def test_a_code_has_a_page_with_the_cure(code):
    """Under the code's own name, with what happened and what to do."""
    page = ROOT / str(page_of(code))

    text = page.read_text()
    assert "cure" in text.lower() or page.name == "mend-a-log.md"
    if page.parent.name == "cures":
        assert text.startswith(f"# {code}\n\n")


def test_a_page_has_a_code():
    """None is left of a code that is gone."""
    pages = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/how-to/cures/*.md")}

    assert pages - {page_of(code) for code in CODES} == set()


def test_the_reference_links_them():
    """Who looks a code up is led to its cure."""
    text = (ROOT / "docs" / "reference" / "errors.md").read_text()

    assert [code for code in CODES if not re.search(rf"\[`{code}`\]\(\.\./how-to/\S+\.md\)", text)] == []


def test_the_codes_that_are_said_in_the_code_are_known():
    """A finding with a code that has no page would leave its reader alone."""
    said = set()
    for module in (ROOT / "agl_core" / "preflight").glob("*.py"):
        said |= set(re.findall(r'code="([A-Z_]+)"', module.read_text()))

    assert len(said) > 8
    assert {code for code in said if page_of(code) is None} == set()


@pytest.mark.parametrize("error", PreflightError.__subclasses__(), ids=lambda error: error.code)
def test_an_error_of_pre_flight_says_where_its_page_is(error):
    """In the message itself: whoever sees that has seen the way."""
    message = str(_made(error))

    assert message.endswith(f"See {page_of(error.code)}")


def _made(error: type[PreflightError]) -> PreflightError:
    made = error.__new__(error)
    PreflightError.__init__(made, "something happened")
    return made
