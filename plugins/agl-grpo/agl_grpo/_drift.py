"""How many of the sampled answers would be other tokens, had their text been kept instead of their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from tokenizers import Tokenizer as Codec

from agl_core.adapter import drift
from agl_core.engine import Checkpoint
from agl_grpo._batch import Row

__all__ = ["Tokenizer"]


class Tokenizer:
    """The tokenizer that lies beside a policy's weights, if one does."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        file = (checkpoint.base or checkpoint.folder) / "tokenizer.json"
        self._codec = Codec.from_file(str(file)) if file.exists() else None

    def drift(self, rows: Sequence[Row]) -> dict[str, float]:
        """`train/drift`, of the answers in `rows`; nothing where there is no tokenizer."""
        codec = self._codec
        if codec is None:
            return {}
        share = drift(
            (answer for row in rows for answer in _answers(row)),
            decode=lambda ids: codec.decode(list(ids), skip_special_tokens=False),
            encode=lambda text: codec.encode(text, add_special_tokens=False).ids,
        )
        return {"train/drift": share}


def _answers(row: Row) -> Iterator[Sequence[int]]:
    """What each call sampled."""
    places = iter([place for place, bit in enumerate(row.mask, start=row.prompt_length) if bit])
    for count in row.sampled:
        yield [row.token_ids[place] for place in islice(places, count)]
