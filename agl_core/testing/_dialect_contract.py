"""What every dialect of spans promises, as tests to inherit."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, get_args

import pytest

from agl_core.codec import Codec
from agl_core.events import Message, SpanRecorded
from agl_core.spans import DIALECTS, Kind, SpanDialect, meaning

__all__ = ["DialectContract"]

_STRANGE: tuple[Any, ...] = (
    *(None, True, -1, 1 << 70, 0.5, math.nan, math.inf, "", "x", "[", "{}", "[[]]", "null", "1e999", "[" * 50_000),
    *('{"a":' * 2_000, '[{"role": 1, "content": {"a": []}}]', '["\\ud800"]', [], [None], [[]], [{}], {}, {"role": []}),
)
"""What somebody may put where a dialect looks for something else."""


class DialectContract:
    """Inherit, and override `dialect` and `spoken`."""

    @pytest.fixture
    def dialect(self) -> SpanDialect:
        """The dialect."""
        raise NotImplementedError("override the fixture `dialect`")

    @pytest.fixture
    def spoken(self) -> Sequence[SpanRecorded]:
        """Spans that speak it: best as an instrumentation sent them, one of each kind that it knows."""
        raise NotImplementedError("override the fixture `spoken`")

    def test_it_has_a_name(self, dialect: SpanDialect) -> None:
        """Who reads a meaning sees who said so."""
        assert isinstance(dialect.NAME, str)
        assert dialect.NAME

    def test_it_knows_what_speaks_it(self, dialect: SpanDialect, spoken: Sequence[SpanRecorded]) -> None:
        """In its own name, with the span's, as one of the kinds there are."""
        assert spoken
        for span in spoken:
            told = dialect.read(span)

            assert told is not None, f"{span.name!r} is not known"
            assert (told.dialect, told.name) == (dialect.NAME, span.name)
            assert told.kind in get_args(Kind)

    def test_it_leaves_what_does_not_speak_it_to_others(self, dialect: SpanDialect) -> None:
        """A span of an HTTP client, one of a database, and one without a word."""
        http = {"http.request.method": "POST", "url.full": "http://127.0.0.1/v1/chat/completions"}

        assert dialect.read(_span("POST", http)) is None
        assert dialect.read(_span("select", {"db.system": "postgresql", "db.statement": "select 1"})) is None
        assert dialect.read(_span("work", {})) is None

    def test_it_is_heard_before_those_of_the_core(self, dialect: SpanDialect, spoken: Sequence[SpanRecorded]) -> None:
        """A span that also speaks one of theirs means what this dialect says."""
        others = [other for other in DIALECTS if other.NAME != dialect.NAME]

        assert {meaning(span, dialects=(dialect, *others)).dialect for span in spoken} == {dialect.NAME}

    def test_what_it_tells_can_be_kept(self, dialect: SpanDialect, spoken: Sequence[SpanRecorded]) -> None:
        """Messages are messages, scores are numbers, arguments and results are values that JSON has."""
        for span in spoken:
            told = dialect.read(span)

            assert told is not None
            assert all(isinstance(message, Message) for message in (*told.messages, *told.answers))
            assert all(math.isfinite(score.value) for score in told.scores)
            json.dumps([told.arguments, told.result])

    def test_nothing_that_a_span_may_hold_is_too_much(
        self, dialect: SpanDialect, spoken: Sequence[SpanRecorded]
    ) -> None:
        """Bad input is input without a word: it never raises, and never tells of another dialect."""
        for span in spoken:
            for strange in _spoilt(span):
                told = dialect.read(strange)

                assert told is None or told.dialect == dialect.NAME

    def test_it_is_pure(self, dialect: SpanDialect, spoken: Sequence[SpanRecorded]) -> None:
        """The same span means the same, and stays as it was."""
        for span in spoken:
            before = copy.deepcopy(span)

            assert dialect.read(span) == dialect.read(copy.deepcopy(span))
            assert span == before

    def test_what_the_log_keeps_means_what_came(self, dialect: SpanDialect, spoken: Sequence[SpanRecorded]) -> None:
        """Attributes are kept as they came."""
        codec = Codec()
        for span in spoken:
            encoded = codec.encode(span)
            kept = codec.decode(encoded.type, encoded.schema, encoded.data, encoded.blobs.__getitem__)

            assert isinstance(kept, SpanRecorded)
            assert dialect.read(kept) == dialect.read(span)


def _spoilt(span: SpanRecorded) -> Iterator[SpanRecorded]:
    """The span with one thing in it that should be another; and with one thing less."""
    for name in span.attributes:
        rest = {other: value for other, value in span.attributes.items() if other != name}
        yield replace(span, attributes=rest)
        yield from (replace(span, attributes={**rest, name: strange}) for strange in _STRANGE)
        yield replace(span, attributes={**span.attributes, f"{name}.0": "x", f"{name}.x.0": []})
    for strange in _STRANGE:
        yield replace(span, events=({"name": strange, "attributes": strange},))
    for place, event in enumerate(span.events):
        attributes = event.get("attributes") or {}
        for name in attributes:
            for strange in _STRANGE:
                spoilt = {**event, "attributes": {**attributes, name: strange}}
                yield replace(span, events=(*span.events[:place], spoilt, *span.events[place + 1 :]))


def _span(name: str, attributes: dict[str, Any]) -> SpanRecorded:
    return SpanRecorded(
        rollout_id="ro-1", attempt_id="at-1", span_id="sp-1", name=name, attributes=attributes, started_at=1, ended_at=2
    )
