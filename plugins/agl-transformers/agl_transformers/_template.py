"""A tokenizer and its chat template, with what has to be known about a template before it can be trusted with tools."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from agl_core.errors import BadValue, EngineFailed
from agl_transformers._dialects import Dialect

__all__ = ["Message", "Template"]

Message = Mapping[str, Any]

_MARK = "qzxprobe"
_ARGUMENTS = f'{{"{_MARK}": 1}}'
_TOOL = {
    "type": "function",
    "function": {"name": _MARK, "description": "", "parameters": {"type": "object", "properties": {}}},
}


def _byte_level() -> Iterator[tuple[str, int]]:
    """GPT-2's alphabet: a printable character for each byte, as byte-level vocabularies are written in."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    yield from ((chr(byte), byte) for byte in printable)
    yield from ((chr(256 + place), byte) for place, byte in enumerate(sorted({*range(256)} - {*printable})))


_BYTES = dict(_byte_level())
_BYTE = re.compile("<0x[0-9A-F]{2}>")


class Template:
    """Text and ids of conversations. Not every template writes tools, and not every one writes calls as given."""

    def __init__(self, tokenizer: Any, dialect: Dialect, *, ends: frozenset[int], url: str) -> None:
        if not tokenizer.chat_template:
            raise EngineFailed(url, why="its tokenizer has no chat template: add chat_template.jinja to the folder")
        self._tokenizer = tokenizer
        self._dialect = dialect
        self._encode, self._decode = _coders(tokenizer)
        decoder = getattr(tokenizer, "backend_tokenizer", None) and tokenizer.backend_tokenizer.decoder
        self._is_byte_level = "ByteLevel" in repr(decoder)
        self._spells_bytes = "ByteFallback" in repr(decoder)
        self._ends = {end: tokenizer.decode([end], skip_special_tokens=False) for end in ends}
        self._writes_tools = _MARK in self._probe([_user("hi")], tools=[_TOOL])
        self._adapt_calls = self._how_to_give_calls()
        answered = self._probe([_user("hi"), {"role": "assistant", "content": _MARK}])
        self.tail = answered.partition(_MARK)[2]
        """What follows an assistant's words; empty when the template does not let that be told."""

    def render(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = (), *, ask: bool = True) -> str:
        """The conversation as text; with `ask`, up to where the model is to go on."""
        given = [self._given(message) for message in messages]
        if tools and not self._writes_tools:
            given = _with_system(given, self._dialect.describe(tools))
            tools = ()
        from jinja2 import TemplateError

        try:
            return self._apply(given, tools, ask=ask)
        except (TemplateError, TypeError, KeyError) as error:
            raise BadValue("messages", "", why=f"the model's chat template says: {error}") from error

    def ids_of(self, text: str) -> Sequence[int]:
        """Its tokens; none are added that the template did not write."""
        return self._encode(text)

    def text_of(self, ids: Sequence[int]) -> str:
        """The words of a reply, without special tokens."""
        return self._decode(ids)

    def is_settled(self, text: str, last: int) -> bool:
        """Whether `text`, of ids up to `last`, is the same whatever comes after it: it ends in no half of a character.

        Where characters are spelled in ids for bytes, a whole row of those is read together, over ids that say nothing.
        """
        if text.endswith("\N{REPLACEMENT CHARACTER}"):
            return False
        if not self._spells_bytes:
            return True
        return bool(self.text_of([last])) and not _BYTE.fullmatch(self._tokenizer.convert_ids_to_tokens(last))

    def token(self, id: int) -> str:
        """One id as text, special or not."""
        text: str = self._tokenizer.decode([id], skip_special_tokens=False)
        return text

    def bytes_of(self, id: int) -> bytes:
        """One id as bytes; a character may be spread over several ids."""
        token = self._tokenizer.convert_ids_to_tokens(id)
        if self._is_byte_level and token not in self._tokenizer.all_special_tokens:
            with suppress(KeyError):
                return bytes(_BYTES[character] for character in token)
        return self.token(id).encode()

    def end_text(self, id: int) -> str | None:
        """How an end-of-turn id is written; None for every other id."""
        return self._ends.get(id)

    def _apply(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, ask: bool) -> str:
        text: str = self._tokenizer.apply_chat_template(
            messages, tools=list(tools) or None, tokenize=False, add_generation_prompt=ask
        )
        return text

    def _given(self, message: Message) -> Message:
        calls = message.get("tool_calls")
        return self._adapt_calls(message, calls) if calls else message

    def _probe(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> str:
        try:
            return self._apply(messages, tools, ask=False)
        except Exception:  # noqa: BLE001 - a guest's template: one that cannot do this is used without it
            return ""

    def _how_to_give_calls(self) -> Callable[[Message, Any], Message]:
        """Arguments as the string they are, or else parsed, or else the whole call written into the content."""
        call = {"id": "call00000", "type": "function", "function": {"name": _MARK, "arguments": _ARGUMENTS}}
        asked = {"role": "assistant", "content": "", "tool_calls": [call]}
        if _ARGUMENTS in self._probe([_user("hi"), asked]):
            return _as_given
        if _MARK in self._probe([_user("hi"), _parsed(asked, asked["tool_calls"])]):
            return _parsed
        return self._written

    def _written(self, message: Message, calls: Any) -> Message:
        said = message.get("content") or ""
        content = f"{said}\n{self._dialect.write(calls)}" if said else self._dialect.write(calls)
        return {**{key: value for key, value in message.items() if key != "tool_calls"}, "content": content}


def _as_given(message: Message, _calls: Any) -> Message:
    return message


def _parsed(message: Message, calls: Any) -> Message:
    return {**message, "tool_calls": [{**call, "function": _with_object(call["function"])} for call in calls]}


def _with_object(function: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        arguments = msgspec.json.decode(function.get("arguments") or "{}")
    except msgspec.DecodeError:
        return function  # what a model wrote wrongly is shown as it wrote it
    return {**function, "arguments": arguments}


def _with_system(messages: Sequence[Message], text: str) -> list[Message]:
    first = messages[0] if messages else {}
    if first.get("role") == "system":
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _user(content: str) -> Message:
    return {"role": "user", "content": content}


def _coders(tokenizer: Any) -> tuple[Callable[[str], Sequence[int]], Callable[[Sequence[int]], str]]:
    """Straight to the Rust tokenizer where there is one: its wrapper costs several times the work."""
    if not getattr(tokenizer, "is_fast", False):
        return (
            lambda text: tokenizer.encode(text, add_special_tokens=False),
            lambda ids: tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False),
        )
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    return (
        lambda text: backend.encode(text, add_special_tokens=False).ids,
        lambda ids: backend.decode(ids, skip_special_tokens=True),
    )
