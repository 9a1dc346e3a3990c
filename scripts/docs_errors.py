"""Write the reference of the errors: `python scripts/docs_errors.py`."""

from inspect import cleandoc
from pathlib import Path

from agl_core import errors
from agl_core.preflight import DOCTOR as CODES
from agl_core.preflight import page_of

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "errors.md"
HEAD = """
# Errors

Made from `agl_core/errors` by `python scripts/docs_errors.py`.

Every error of ours is an `agl.AglError`. It has a `code` for programs, a message that says what, why and the cure,
and its facts as attributes: `error.run_id`, `error.position`. Catch a family to catch all below it. On the command
line the code stands in the message, `--json` prints it as JSON on stderr, and the exit status is 1. The gateway
answers with the code in OpenAI's error shape. A code that leads somewhere has a page with its cure.
"""
DOCTOR = """
## What a doctor says

Codes of [`agl doctor`](../how-to/doctor.md) that no error has; it also says those of errors.
"""


def reference() -> str:
    """Every code, a table a family. Markdown."""
    parts = [HEAD.strip()]
    for family in (cls for cls in errors.AglError.__subclasses__() if _is_ours(cls)):
        # Others may subclass them; the page is of the core's own tree, whatever else is imported.
        leaves = [leaf for leaf in family.__subclasses__() if _is_ours(leaf)]
        rows = [_row(leaf) for leaf in (family, *leaves)]
        parts += [
            f"## {family.__name__}",
            cleandoc(family.__doc__ or ""),
            "\n".join(["| Code | Class | What happened |", "|---|---|---|", *rows]),
        ]
    rows = [f"| {_code(code)} | {what} |" for code, what in CODES.items()]
    parts += [DOCTOR.strip(), "\n".join(["| Code | What it found |", "|---|---|", *rows])]
    return "\n\n".join(parts) + "\n"


def _is_ours(error: type[errors.AglError]) -> bool:
    return error.__module__.startswith(f"{errors.__name__}.")


def _row(error: type[errors.AglError]) -> str:
    return f"| {_code(error.code)} | `{error.__name__}` | {' '.join((error.__doc__ or '').split())} |"


def _code(code: str) -> str:
    page = page_of(code)
    return f"[`{code}`]({page.replace('docs/', '../', 1)})" if page else f"`{code}`"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(reference(), "utf-8")
    print(PAGE)
