"""Rows of a sample, piece by piece, so that a resident may have more rows than memory holds."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

_NUMBERS = 1 << 22
"""Numbers per piece (32 MB as float64), whatever the width of what is computed per row."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunk:
    """Some rows of a sample, those of one resident next to each other.

    Attributes:
        inputs: encoded, (rows, inputs).
        outcomes: index of the class, per row.
        owners: whose row it is, counted from 0 within the chunk, never falling.
        shares: 1 / how many rows the owner has in all, so that sums of them are means.
        complete: False if the last owner's rows go on in the next chunk.
    """

    inputs: npt.NDArray[np.float32]
    outcomes: Ints
    owners: Ints
    shares: Doubles
    complete: bool

    @property
    def residents(self) -> int:
        """Give how many residents have rows in the chunk."""
        return int(self.owners[-1]) + 1


def pieces(owners: Ints, *, width: int) -> Iterator[tuple[slice, bool]]:
    """Give slices of rows for work of `width` numbers per row, and whether each is complete.

    A resident is cut only where its own rows are too many, counted from its first: where the
    cuts are, and so how its sums are rounded, does not depend on the others.
    """
    size = max(1, _NUMBERS // width)
    begins = np.flatnonzero(np.diff(owners, prepend=-1))
    start = 0
    while start < len(owners):
        stop = min(start + size, len(owners))
        if stop < len(owners):
            begin = int(begins[np.searchsorted(begins, stop, side="right") - 1])
            stop = begin if begin > start else stop
        yield slice(start, stop), stop == len(owners) or bool(owners[stop] != owners[stop - 1])
        start = stop


class Carry:
    """Keeps the last resident's part of a chunk until the rest of it has come."""

    def __init__(self) -> None:
        """Start with nobody's part."""
        self._part: Floats | None = None

    def whole(self, sums: Floats, *, complete: bool) -> Floats:
        """Give the sums (residents, width) of a chunk that are final, in float64 if any waited."""
        if complete and self._part is None:
            return sums
        sums = sums.astype(np.float64)
        if self._part is not None:
            sums[0] += self._part
        self._part = None if complete else sums[-1].copy()
        return sums if complete else sums[:-1]
