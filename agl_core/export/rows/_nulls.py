"""Arrow arrays with nothing under their nulls: DuckDB leaves there what lay in its memory before."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nanoarrow.c_array import CArray

__all__ = ["blank"]

_VALUES = {"int64", "double"}


def blank(array: CArray) -> CArray:
    """The same values, with zeros where a value is null, and in what is left of the last byte of a row of bits."""
    import nanoarrow

    view = array.view()
    kind, length = view.storage_type, array.length
    buffers: list[Any] = [bytearray(memoryview(view.buffer(at))) for at in range(view.n_buffers)]
    nulls = (
        [at for at, bit in enumerate(islice(view.buffer(0).unpack_bits(), length)) if not bit]
        if array.null_count
        else []
    )
    if kind in _VALUES and nulls:
        words = memoryview(buffers[1]).cast("Q")
        for at in nulls:
            words[at] = 0
    elif kind == "bool":
        for at in nulls:
            buffers[1][at // 8] &= ~(1 << at % 8)
        _trim(buffers[1], length)
    if array.null_count:
        _trim(buffers[0], length)
    else:
        buffers[0] = None
    children = [blank(array.child(at)) for at in range(array.n_children)]
    return nanoarrow.c_array_from_buffers(
        array.schema, length, buffers, null_count=len(nulls), children=children, move=True
    )


def _trim(bits: bytearray, length: int) -> None:
    """No bit after the last."""
    del bits[(length + 7) // 8 :]
    if length % 8 and bits:
        bits[-1] &= (1 << length % 8) - 1
