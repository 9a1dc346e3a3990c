"""Write the reference of the views of a log: `python scripts/docs_views.py`."""

from pathlib import Path

from agl_core.export import VIEWS
from agl_core.log import COLUMNS

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "views.md"
HEAD = """
# Views

Made from the code by `python scripts/docs_views.py`.

What `agl log query` may name, what `log.frame` takes, and the tables of a `.duckdb` export. Times are UTC timestamps in
microseconds. [Query a log](../how-to/query-a-log.md) shows how to use them.
"""
FILES = """
## In an export

A `.parquet` file, and the table `facts` of a `.duckdb` one, have these columns; a line of `.jsonl` has them as
members. Times are whole nanoseconds since 1970. `data` is the text that was sealed, to the byte: a string in Parquet
and DuckDB, as it stands in a line (or as a string, in `text`, where it has line breaks). A line leaves `blobs` and
`seal` out where there are none; a blob in it has `text` or `base64`, a seal is in hexadecimal digits.
"""


def reference() -> str:
    """Every view with its columns, then the columns of a file. Markdown."""
    parts = [HEAD.strip()]
    for name, view in VIEWS.items():
        rows = [f"| `{column.name}` | {column.type} |" for column in view.columns]
        parts += [f"## {name}", view.about, _table(rows)]
    parts += [FILES.strip(), _table([f"| `{name}` | {kind} |" for name, kind in COLUMNS])]
    return "\n\n".join(parts) + "\n"


def _table(rows: list[str]) -> str:
    return "\n".join(["| Column | Type |", "|---|---|", *rows])


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(reference(), "utf-8")
    print(PAGE)
