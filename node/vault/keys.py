"""Rows that a later row of the same key stands in for.

Of a resident's rows that agree in their primary key, the last one counts. An earlier row either
repeats a later one, or was replaced by it. Finding them takes a first pass over the source with
some forty bytes per row: keys and rows are compared by 64-bit hashes, keyed afresh in every
process. The chance that any two of ten million rows fall together is below 1 in 300,000.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import DataContractError
from node.vault.cells import CODES, FINE, Held, Problem

_Hashes = npt.NDArray[np.uint64]
_NONE = np.empty(0, dtype=np.uint64)
_REPEATED = CODES[Problem.REPEATED]
_REPLACED = CODES[Problem.REPLACED]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Keyed:
    """A stretch of rows: their keys, which of them have one, and all that is read of them."""

    keys: _Hashes
    whole: npt.NDArray[np.bool_]
    contents: _Hashes


def keyed(held: Sequence[Held], *, read: Iterable[Held]) -> Keyed:
    """Give the keys of rows.

    Args:
        held: the columns of the key; a row with a problem in one of them has no key.
        read: the columns in which two rows must agree to be repetitions.
    """
    keys = hashes([column.values for column in held])
    contents = [part for column in read for part in (column.values, column.problems)]
    return Keyed(
        keys=keys,
        whole=np.logical_and.reduce([column.problems == FINE for column in held]),
        contents=hashes([keys, *contents]),
    )


class Superseded:
    """Which rows of a source do not count, by their place in the order of reading."""

    def __init__(self, parts: Iterable[Keyed], *, place: str) -> None:
        """Read the whole source once; `place` names it in errors."""
        keys, contents, places = [_NONE], [_NONE], [np.empty(0, dtype=np.int64)]
        start = 0
        for part in parts:
            keys.append(part.keys[part.whole])
            contents.append(part.contents[part.whole])
            places.append(start + np.flatnonzero(part.whole))
            start += len(part.whole)
        every = np.concatenate(keys)
        superseded = _has_a_later_equal(every)
        again = _has_a_later_equal(np.concatenate(contents))
        # Few rows are superseded: their places take less memory than a mark on every row.
        self._places = np.concatenate(places)[superseded]
        self._keys = every[superseded]
        self._again = again[superseded]
        self._start = 0
        self._place = place

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """Give the places, from 0, of the rows that do not count."""
        return self._places

    def problems(self, keys: _Hashes) -> npt.NDArray[np.int8]:
        """Give the problem codes of the next rows in order, `FINE` for those that count.

        Raises:
            DataContractError: the rows come in another order than the first time.
        """
        found = np.full(len(keys), FINE, dtype=np.int8)
        first, last = np.searchsorted(self._places, [self._start, self._start + len(keys)])
        here = self._places[first:last] - self._start
        if not np.array_equal(keys[here], self._keys[first:last]):
            raise DataContractError(
                f"{self._place}: the rows came in another order when they were read again",
                hint="Let the query have an ORDER BY, and nobody write while a node reads.",
            )
        found[here] = np.where(self._again[first:last], _REPEATED, _REPLACED)
        self._start += len(keys)
        return found


def hashes(columns: Iterable[npt.NDArray[Any]]) -> _Hashes:
    """Give a 64-bit hash of each row, equal for rows that are equal in every column."""
    total: _Hashes | None = None
    for values in columns:
        own = _hashed(values)
        total = own if total is None else _mixed(total * _ODD + own)
    assert total is not None  # noqa: S101 - a key has at least one column
    return total


_ODD = np.uint64(0x9E3779B97F4A7C15)
_KEY = np.uint64(hash("datalabbet/rows/v1") & 0xFFFFFFFFFFFFFFFF)
"""Another one in every process: Python keys the hashes of texts afresh."""


def _hashed(values: npt.NDArray[Any]) -> _Hashes:
    if values.dtype == object:
        return np.fromiter(map(hash, values), dtype=np.int64, count=len(values)).view(np.uint64)
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), np.nan, values + 0.0)  # one NaN, and no minus zero
    elif values.dtype.itemsize < 8:  # noqa: PLR2004 - bytes of what is viewed below
        values = values.astype(np.int64)
    return _mixed(values.view(np.uint64) ^ _KEY)


def _mixed(values: _Hashes) -> _Hashes:
    """Scatter 64-bit numbers (the finisher of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _has_a_later_equal(values: _Hashes) -> npt.NDArray[np.bool_]:
    order = np.argsort(values, kind="stable")
    later = np.zeros(len(values), dtype=np.bool_)
    later[order[:-1]] = values[order[1:]] == values[order[:-1]]
    return later
