"""What every source gives: a stretch of rows, column by column, not yet held to anything."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import DataContractError
from node.sources import Origin

ArrowArray = Any
"""A `pyarrow.Array`; pyarrow ships no types."""

CELLS = 50_000
"""The most cells a source holds at once, so that wide tables take no more memory than narrow."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """One column of a chunk.

    Attributes:
        values: as the source types them; null where there is nothing.
        spoiled: which cells are not text in the declared encoding (their value is null).
    """

    values: ArrowArray
    spoiled: npt.NDArray[np.bool_] | None = None


class Remark(enum.StrEnum):
    """What is odd about a file that is read all the same. Texts for people."""

    MARK = "begins with a byte-order mark"
    ORDER = "has its columns in another order than the first file"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chunk:
    """Rows of a source.

    Attributes:
        cells: by declared column name.
        rows: their numbers; 1 is the first record of the file.
        ragged: numbers of the rows with more or fewer cells than the heading; `cells` has none
            of them.
        file: the one of several files that they are in; None where a source is one thing.
        remarks: on the file, with its first rows.
        left_out: of a query over other tables, with its first rows: how many rows of each were
            left out for a problem.
    """

    cells: Mapping[str, Cells]
    rows: npt.NDArray[np.int64]
    ragged: tuple[int, ...] = ()
    file: str | None = None
    remarks: tuple[Remark, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


def positions(origin: Origin, names: Sequence[str], headings: Iterable[str]) -> dict[str, int]:
    """Give where each named column stands among the headings of a source.

    Messages name declared columns only: a source without a heading has records in its place.

    Raises:
        DataContractError: a column is absent, or two columns have its heading.
    """
    found: dict[str, list[int]] = {}
    width = 0
    for index, heading in enumerate(headings):
        found.setdefault(heading.strip(), []).append(index)
        width = index + 1
    places = {name: found.get(origin.heading(name).strip(), []) for name in names}
    absent = [origin.heading(name) for name in names if not places[name]]
    doubled = [origin.heading(name) for name in names if len(places[name]) > 1]
    if absent:
        one = "Only one column was found: is the delimiter right? " if width == 1 else ""
        raise DataContractError(
            f"{origin.place}: no column has the heading {', '.join(absent)}",
            hint=f"{one}Say in source.names which heading belongs to which declared column.",
        )
    if doubled:
        raise DataContractError(
            f"{origin.place}: two columns have the heading {', '.join(doubled)}",
            hint="Give every declared column a heading of its own.",
        )
    return {name: places[name][0] for name in names}


def unreadable(origin: Origin, error: OSError) -> DataContractError:
    """Give the error for a file that the system does not let us read."""
    return DataContractError(
        f"{origin.place}: cannot be read ({error.strerror or 'not a readable file'})",
        hint="Check the path in the declaration and the permissions of the file.",
    )
