"""Training rows into files, whole or not at all, in the shapes that other tools read."""

from __future__ import annotations

from agl_core.export.rows._atif import Atif
from agl_core.export.rows._attempts import Attempts
from agl_core.export.rows._filter import Filter
from agl_core.export.rows._openai import OpenAiDpo, OpenAiSft
from agl_core.export.rows._places import new_file, new_folder
from agl_core.export.rows._plain import Hf, Jsonl, V03Triplets
from agl_core.export.rows._records import Tally, write_records
from agl_core.export.rows._rollouts import Chosen, RowsOf, choose
from agl_core.export.rows._sharegpt import ShareGpt
from agl_core.export.rows._trl import Trl
from agl_core.export.rows._verl import VerlRl, VerlSft

__all__ = [
    "Atif",
    "Attempts",
    "Chosen",
    "Filter",
    "Hf",
    "Jsonl",
    "OpenAiDpo",
    "OpenAiSft",
    "RowsOf",
    "ShareGpt",
    "Tally",
    "Trl",
    "V03Triplets",
    "VerlRl",
    "VerlSft",
    "choose",
    "new_file",
    "new_folder",
    "write_records",
]
