"""Write the reference of the events: `python scripts/docs_events.py`."""

import ast
import dataclasses
import inspect
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from agl_core import events

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "events.md"
HEAD = """
# Events

Made from `agl_core/events/` by `python scripts/docs_events.py`. This is the vocabulary: everything that a log can
say. A field without a default is always there. `U32`, `F32`, `Chat` and `Pooled` mark values that lie outside the
event, once by their hash; a reader never sees the difference.

Around each event stands its envelope: `position` (1, 2, 3, without gaps: the only order there is), `id`, `stream`
and `version`, `type` and `schema`, `key` (the same key with the same content lands once), `causation_id`,
`correlation_id` (the run), `actor`, `occurred_at` and `recorded_at` (nanoseconds).
"""


def reference() -> str:
    """Every event and every value in one, a family a section. Markdown."""
    parts = [HEAD.strip()]
    modules: dict[ModuleType, list[type]] = {}
    for cls in events.CORE_EVENTS:
        modules.setdefault(sys.modules[cls.__module__], []).append(cls)
    modules.setdefault(sys.modules["agl_core.events.message"], [])
    for module in sorted(modules, key=lambda module: module.__name__):
        parts += [f"## {module.__name__.rpartition('.')[2]}", inspect.cleandoc(module.__doc__ or "")]
        for cls in modules[module]:
            parts += [f"### {cls.type}, schema {cls.schema}", inspect.cleandoc(cls.__doc__ or ""), fields(cls)]
        for cls in values(module):
            parts += [f"### `{cls.__name__}`", inspect.cleandoc(cls.__doc__ or ""), fields(cls)]
    return "\n\n".join(part for part in parts if part) + "\n"


def values(module: ModuleType) -> Iterator[type]:
    """The dataclasses of a family that are no events."""
    for name in module.__all__:
        found = getattr(module, name)
        if isinstance(found, type) and dataclasses.is_dataclass(found) and not issubclass(found, events.Event):
            yield found


def fields(cls: type) -> str:
    """A table: name, type and default as they are written, and the string below."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(body, ast.ClassDef)
    rows = []
    for statement, following in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            kind = ast.unparse(statement.annotation).replace("|", "\\|")
            rows.append(f"| `{statement.target.id}` | `{kind}` | {_default(statement)} | {_said(following)} |")
    return "\n".join(["| Field | Type | Default | |", "|---|---|---|---|", *rows]) if rows else "No fields."


def _default(statement: ast.AnnAssign) -> str:
    if statement.value is None:
        return ""
    written = ast.unparse(statement.value)
    return f"`{'{}' if 'default_factory=dict' in written else written}`"


def _said(statement: Any) -> str:
    match statement:
        case ast.Expr(value=ast.Constant(value=str(text))):
            return " ".join(text.split()).replace("|", "\\|")
    return ""


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(reference(), "utf-8")
    print(PAGE)
