"""What a model's answer holds: the text between its marks, in its fence, or all of it."""

from __future__ import annotations

import re

__all__ = ["MARKS", "plain", "prompt_in"]

MARKS = ("<new_prompt>", "</new_prompt>")
"""What an answer puts around a prompt."""
_FENCE = re.compile(r"^(?P<fence>`{3,}|~{3,})[^\n`]*\n(?P<inside>.*?)^(?P=fence)[ \t]*$", re.DOTALL | re.MULTILINE)


def prompt_in(answer: str, *, is_bare: bool) -> str | None:
    """The prompt between the marks, or in a fence that is all there is; None where nothing says what the prompt is.

    With `is_bare`, all of an answer without marks and fences is the prompt.
    """
    first, last = MARKS
    if first in answer:
        begin, end = answer.index(first) + len(first), answer.rfind(last)
        return plain(answer[begin:end]) if end >= begin else None
    text = plain(answer)
    if text != answer.strip():
        return text
    # Of talk around a fence nobody can tell whether it is of the prompt, or about it.
    return text if is_bare and "```" not in text and "~~~" not in text else None


def plain(answer: str) -> str:
    """A text without the white space around it, and without a fence around all of it."""
    text = answer.strip()
    whole = _FENCE.fullmatch(text)
    return whole["inside"].strip() if whole else text
