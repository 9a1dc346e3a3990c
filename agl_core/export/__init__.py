"""Rows out of a log: questions in SQL, over documented views."""

from __future__ import annotations

from agl_core.export._query import Answer, query
from agl_core.export._views import VIEWS, Column, View

__all__ = ["VIEWS", "Answer", "Column", "View", "query"]
