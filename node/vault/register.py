"""The register snapshot: the dated list of residents that a node's other records are linked to.

All of it must be right, since a resident it lacks is lost to every linked study without a word:
an id that cannot be read, two rows for one resident, or a household or mark of protection that
breaks its declaration stops the reading, with file, column and row.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import DataContractError
from models.schema import CategoryColumn, Column, NumericColumn, Variable
from node.datasets import Dataset
from node.vault.cells import FINE, PROBLEMS, Held
from node.vault.parsing import Parsed, parsed, refuse

NO_HOUSEHOLD = -1
"""The household of residents whose household is declared missing."""

_BATCH = 65536


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Register:
    """A city's residents on a day, in the order of their ids.

    Attributes:
        ids: shape (residents,), texts in canonical form, ascending, each once.
        households: shape (residents,), int64; those of one household share a number from 0, and
            `NO_HOUSEHOLD` stands for none. The numbers follow the residents' order. None where no
            column of households is declared.
        protected: shape (residents,), who has a protected identity; None where it is not declared.
        date: the day on which the list was true.
        columns: by name, shape (residents,): what its columns of numbers and categories say, as
            texts; None where a value is missing or breaks the declaration. Rows are compared
            with it.
    """

    ids: npt.NDArray[np.object_]
    households: npt.NDArray[np.int64] | None
    protected: npt.NDArray[np.bool_] | None
    date: date
    columns: Mapping[str, npt.NDArray[np.object_]]


def register(dataset: Dataset, *, batch_rows: int = _BATCH) -> Register:
    """Read the register that a dataset declares.

    Raises:
        DataContractError: the dataset declares no register; it cannot be read; a row has a problem
            in its id, household or mark of protection; or two rows are for one resident.
    """
    promise = dataset.register
    if promise is None:
        raise DataContractError(
            f"{dataset.origin.place}: is not declared as a register",
            hint="Say `register: {date: YYYY-MM-DD}` in the declaration of the population list.",
        )
    household, protected = promise.household, promise.protected
    compared = dataset.declaration.variables
    columns = [c for c in dataset.declaration.columns if c in compared or c.name == household]
    found: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in ("", *_names(columns))}
    places: list[tuple[str, npt.NDArray[np.int64]]] = []
    # Without its key: a resident's later row would quietly stand in for an earlier one.
    for part in parsed(replace(dataset, key=()), columns, batch_rows=batch_rows):
        refuse(dataset, part)
        _hold(dataset, part, indispensable={household, protected})
        found[""].append(part.residents.values)
        for column in columns:
            held = part.columns[column.name]
            found[column.name].append(
                texts(column, held)
                if isinstance(column, CategoryColumn | NumericColumn)
                else held.values
            )
        places.append((part.file, part.rows))
    ids = np.concatenate(found[""])
    order = np.argsort(ids, kind="stable")
    _hold_once(ids, order, places, column=dataset.declaration.resident_id)
    values = {name: np.concatenate(found[name])[order] for name in _names(columns)}
    return Register(
        ids=ids[order],
        households=None if household is None else _coded(values[household]),
        # Who may be protected, for the mark is missing, counts as protected.
        protected=None if protected is None else np.not_equal(values[protected], "false"),
        date=promise.date,
        columns={name: values[name] for name in _names(compared)},
    )


def texts(column: Variable, held: Held) -> npt.NDArray[np.object_]:
    """Give the values of a column as texts, None where one is missing or has a problem.

    Categories are spelled as declared; a number is written the same however it was given.
    """
    if isinstance(column, CategoryColumn):
        places = np.where(held.problems == FINE, held.values, -1)  # of None, the last
        return np.array([*column.categories, None], dtype=object)[places]
    distinct, places = np.unique(held.values, return_inverse=True)
    said = [None if np.isnan(v) else f"{v:.15g}" for v in distinct.tolist()]
    written = np.array(said, dtype=object)[places]
    written[held.problems != FINE] = None
    return written


def _names(columns: Iterable[Column]) -> tuple[str, ...]:
    return tuple(column.name for column in columns)


def _hold(dataset: Dataset, part: Parsed, *, indispensable: Collection[str | None]) -> None:
    """Refuse a stretch of rows where an id, or what is indispensable, is wrong."""
    hint = "Mend the register, or take it out again: it has one right row for each resident."
    if part.ragged:
        raise DataContractError(
            f"{part.file}, row {part.ragged[0]}: the row has more or fewer cells than the heading",
            hint=hint,
        )
    needed = {name: held for name, held in part.columns.items() if name in indispensable}
    for name, held in {dataset.declaration.resident_id: part.residents, **needed}.items():
        wrong = np.flatnonzero(held.problems != FINE)
        if len(wrong):
            said = PROBLEMS[held.problems[wrong[0]]]
            raise DataContractError(
                f"{part.file}, column {name}, row {part.rows[wrong[0]]}: {said}", hint=hint
            )


def _hold_once(
    ids: npt.NDArray[np.object_],
    order: npt.NDArray[np.int64],
    places: list[tuple[str, npt.NDArray[np.int64]]],
    *,
    column: str,
) -> None:
    """Refuse two rows for one resident; of several such pairs the first in the file is named."""
    ordered = ids[order]
    again = np.flatnonzero(ordered[1:] == ordered[:-1])
    if not len(again):
        return
    first = again[np.argmin(order[again])]
    starts = np.cumsum([0, *(len(rows) for _, rows in places)])

    def place(at: int) -> str:
        part = int(np.searchsorted(starts, at, side="right")) - 1
        file, rows = places[part]
        return f"{file}, row {rows[at - starts[part]]}"

    one, other = (place(int(order[at])) for at in (first, first + 1))
    raise DataContractError(
        f"{one} and {other}: column {column} names the same resident twice",
        hint="A register has one row for each resident. Take the row that is out of date away.",
    )


def _coded(households: npt.NDArray[np.object_]) -> npt.NDArray[np.int64]:
    """Number the households from 0 as they first come; None is no household."""
    numbers: dict[str, int] = {}
    codes = (
        NO_HOUSEHOLD if name is None else numbers.setdefault(name, len(numbers))
        for name in households
    )
    return np.fromiter(codes, dtype=np.int64, count=len(households))
