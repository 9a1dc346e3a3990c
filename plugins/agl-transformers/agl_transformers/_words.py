"""The text of an answer while it is written: what is given out once is never changed by what follows."""

from __future__ import annotations

from collections.abc import Sequence

from agl_transformers._template import Template

__all__ = ["Held", "Words"]


class Words:
    """Text of ids that come one after the other, decoded in a window of the newest."""

    def __init__(self, template: Template) -> None:
        self._template = template
        self._start = 0
        """The window begins a piece before what is read next: some decoders write a first word without its space."""
        self._read = 0

    def more(self, ids: Sequence[int], end: int) -> str:
        """What ids up to `end` say that was not given yet, less the half of a character."""
        if end == self._read:
            return ""
        text = self._template.text_of(ids[self._start : end])
        if not self._template.is_settled(text, ids[end - 1]):
            return ""
        new = text[len(self._template.text_of(ids[self._start : self._read])) :]
        # Ids that say nothing are no context for the next: the window stays before them.
        if new:
            self._start, self._read = self._read, end
        return new


class Held:
    """Lets text pass up to where one of some marks is, or may be beginning."""

    def __init__(self, marks: Sequence[str]) -> None:
        self._marks = marks
        self._text = ""

    def passed(self, text: str) -> str:
        """What of `text`, and of what was held before it, is no part of any mark and behind none."""
        self._text += text
        end = min((_begins(self._text, mark) for mark in self._marks), default=len(self._text))
        free, self._text = self._text[:end], self._text[end:]
        return free


def _begins(text: str, mark: str) -> int:
    """Where the mark is in the text, or where its beginning ends the text; the text's end when neither."""
    found = text.find(mark)
    if found >= 0:
        return found
    first = max(0, len(text) - len(mark) + 1)
    return next((at for at in range(first, len(text)) if mark.startswith(text[at:])), len(text))
