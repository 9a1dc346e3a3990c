"""Write the reference of the hooks: `python scripts/docs_hooks.py`."""

import ast
import inspect
from pathlib import Path

from agl_core import hookspecs

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "hooks.md"
HEAD = """
# Hooks

Made from `agl_core/hookspecs.py` by `python scripts/docs_hooks.py`.

A plugin is a module behind an entry point of the group `agl`. It implements hooks with `@agl.hookimpl`, and takes
only the arguments it uses, by name. One that misspells a hook or an argument is refused when it is loaded, and
listed by `agl plugins` with its error; the rest works on. `AGL_LOAD_PLUGINS` names the only plugins to load,
`AGL_DISABLE_PLUGINS` those not to load, `AGL_REQUIRED_PLUGINS` those without which nothing starts.
[Write a plugin](../how-to/write-a-plugin.md) begins one, and says what happens when one fails.

The `on_*` hooks may be async: each is awaited before the next plugin is asked. A `Hook` that is given to
`Trainer(hooks=...)` has the same as methods, with their arguments by keyword, and goes before the plugins.
"""
KINDS = {
    "gather": "Gather: all plugins answer",
    "first answer wins": "First answer wins",
    "transform": "Transform: each is handed what the one before it made",
    "notify": "Notify: guests",
}
"""A section of the module, as a heading here."""


def reference() -> str:
    """Every hook with its exact signature, in the order of the module. Markdown."""
    source = inspect.getsource(hookspecs)
    parts = [HEAD.strip(), _about(source)]
    sections = [
        (number, line.removeprefix("# --- ")) for number, line in enumerate(source.splitlines(), 1) if "# --- " in line
    ]
    for node in ast.parse(source).body:
        if not (isinstance(node, ast.FunctionDef) and node.decorator_list):
            continue
        while sections and sections[0][0] < node.lineno:
            parts.append(f"## {KINDS[sections.pop(0)[1]]}")
        parts += [f"### {node.name}", _fence(signature(node)), ast.get_docstring(node) or ""]
    return "\n\n".join(parts) + "\n"


def signature(node: ast.FunctionDef) -> str:
    """`def name(argument: Type) -> Result`, an argument a line when it is long."""
    returns = ast.unparse(node.returns) if node.returns else "None"
    arguments = [ast.unparse(argument) for argument in node.args.args]
    line = f"def {node.name}({', '.join(arguments)}) -> {returns}: ..."
    if len(line) <= 100:
        return line
    return "\n".join([f"def {node.name}(", *(f"    {argument}," for argument in arguments), f") -> {returns}: ..."])


def _about(source: str) -> str:
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n\n")[2]


def _fence(code: str) -> str:
    return f"```python no-run=fragment\n{code}\n```"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(reference(), "utf-8")
    print(PAGE)
