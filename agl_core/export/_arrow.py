"""Facts as Arrow batches that DuckDB pulls one by one: the log is never in memory as a whole."""

from __future__ import annotations

import contextlib
import io
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain
from typing import TYPE_CHECKING, Any

from agl_core.log import COLUMNS, ENVELOPE, Page

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

__all__ = ["arriving"]

_NOTHING = Page((), {}, {})


@contextlib.contextmanager
def arriving(db: DuckDBPyConnection, pages: Iterable[Page]) -> Iterator[None]:
    """While it lasts, `select * from arriving` gives the facts of `pages`, once."""
    import duckdb
    import nanoarrow
    from nanoarrow.ipc import InputStream

    pulled = _Pulled(_messages(pages))
    try:
        db.register("arriving", nanoarrow.ArrayStream(InputStream.from_readable(pulled)))
        yield
    except duckdb.Error:
        # What goes wrong while DuckDB pulls comes back as one of DuckDB's.
        if pulled.error is not None:
            raise pulled.error from None
        raise
    finally:
        db.unregister("arriving")


class _Pulled(io.RawIOBase):
    """Bytes that are made when they are read: Arrow's own stream takes a list only, which is all of them."""

    def __init__(self, made: Iterator[bytes]) -> None:
        self._made = made
        self._left = memoryview(b"")
        self.error: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            while not self._left:
                self._left = memoryview(next(self._made, b"") or b"")
                if not self._left:
                    return 0
        except Exception as error:
            self.error = error
            raise
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._left))
        target[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _messages(pages: Iterable[Page]) -> Iterator[bytes]:
    """Arrow's stream format: the schema, then a message a page."""
    from nanoarrow.ipc import StreamWriter

    out = io.BytesIO()
    batch = _batcher()
    with StreamWriter.from_writable(out) as writer:
        for page in chain([_NOTHING], pages):  # the first message brings the schema, also where no page follows
            writer.write_array(batch(page))
            yield _taken(out)
        writer.close()
    yield _taken(out)


def _taken(out: io.BytesIO) -> bytes:
    message = out.getvalue()
    out.seek(0)
    out.truncate()
    return message


def _batcher() -> Callable[[Page], Any]:
    """Rows to columns."""
    import nanoarrow

    text, whole, binary = nanoarrow.string(), nanoarrow.int64(), nanoarrow.binary()
    kinds = [text if kind == "VARCHAR" else whole for _, kind in ENVELOPE]
    blob = nanoarrow.struct({"id": text, "content": binary})
    blobs = nanoarrow.list_(blob)
    schema = nanoarrow.struct(dict(zip((name for name, _ in COLUMNS), [*kinds, blobs, binary], strict=True)))

    def batch(page: Page) -> Any:
        # Flattened and cut with steps, it is half the time of a `zip`; whole numbers go through `array` for the same.
        flat = list(chain.from_iterable(page.rows))
        columns = [flat[at :: len(kinds)] for at in range(len(kinds))]
        children = [
            nanoarrow.c_array(array("q", values) if kind is whole else values, kind)
            for values, kind in zip(columns, kinds, strict=True)
        ]
        seals = nanoarrow.c_array([page.seals.get(position) for position in columns[0]], binary)
        fresh: list[Sequence[tuple[str, bytes]]] = [page.blobs.get(position, ()) for position in columns[0]]
        return nanoarrow.c_array_from_buffers(
            schema, len(page.rows), [None], children=[*children, listed(fresh), seals]
        )

    def listed(fresh: Sequence[Sequence[tuple[str, bytes]]]) -> Any:
        each = list(chain.from_iterable(fresh))
        ids = nanoarrow.c_array([id_ for id_, _ in each], text)
        contents = nanoarrow.c_array([content for _, content in each], binary)
        inner = nanoarrow.c_array_from_buffers(blob, len(each), [None], children=[ids, contents])
        offsets = array("i", accumulate(map(len, fresh), initial=0))
        return nanoarrow.c_array_from_buffers(blobs, len(fresh), [None, offsets], children=[inner])

    return batch
