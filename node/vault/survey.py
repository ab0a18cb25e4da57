"""Reading a dataset to be linked: which ids it has, in which rows, and what those rows say."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from models.linkage.identity import Fault
from models.schema import KeyColumn
from node.datasets import Dataset
from node.vault.cells import FINE
from node.vault.identities import Read, Reads
from node.vault.parsing import Mends, parsed, refuse
from node.vault.register import texts

_BATCH = 65536
_WRITTEN = "\0"
"""What a text begins with that names nobody: no id that was read can begin so."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ids:
    """The ids of one column of a dataset.

    Attributes:
        named: by canonical id, its code.
        written: by text as it is written, without blanks around it, the code of what cannot be
            read as an id.
        codes: shape (rows,), int32: the code of each row's id; -1 where there is none, or a
            person's who may not be here.
    """

    named: Mapping[str, int]
    written: Mapping[str, int]
    codes: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Survey:
    """All rows of a dataset, as far as linking needs them.

    Attributes:
        ids: by column: the resident id first, then columns of type `resident`.
        values: by compared column, shape (rows,), texts; None where a row says nothing.
        rows: how many there are.
    """

    ids: Mapping[str, Ids]
    values: Mapping[str, npt.NDArray[np.object_]]
    rows: int


def survey(dataset: Dataset, *, mends: Mends) -> Survey:
    """Read a dataset once, rows that a later one supersedes included.

    Args:
        dataset: what to read.
        mends: how the ids of the tables that it is derived from are mended.

    Raises:
        DataContractError: the source cannot be read, or must not be.
    """
    declared = dataset.declaration
    compared = {} if dataset.linkage is None else dataset.linkage.compare
    variables = [c for c in declared.variables if c.name in compared]
    others = [c for c in declared.columns if isinstance(c, KeyColumn) and c.type == "resident"]
    names = (declared.resident_id, *(c.name for c in others))
    codes = {name: _Codes() for name in names}
    values: dict[str, list[npt.NDArray[Any]]] = {c.name: [] for c in variables}
    # As the tables below it are read: with their ids mended; but its own as they are written.
    below = replace(dataset, key=())
    for part in parsed(
        below,
        (*variables, *others),
        batch_rows=_BATCH,
        mends=lambda item: _tagged if item is below else mends(item),
    ):
        refuse(dataset, part)
        for name in names:
            codes[name].add(part.held(name).values, fine=part.held(name).problems == FINE)
        for column in variables:
            values[column.name].append(texts(column, part.columns[column.name]))
    return Survey(
        ids={name: found.ids() for name, found in codes.items()},
        values={name: np.concatenate(found) for name, found in values.items()},
        rows=len(codes[declared.resident_id]),
    )


def _tagged(column: str, plain: Reads) -> Reads:  # noqa: ARG001 - all columns alike
    """Let texts with a fault through, marked as such, so that they stay with their rows."""

    def read(found: Sequence[str]) -> list[Read]:
        return [
            (_WRITTEN + text.strip(), None) if isinstance(problem, Fault) else (value, problem)
            for text, (value, problem) in zip(found, plain(found), strict=True)
        ]

    return read


class _Codes:
    """Gives each different text a number: a person's id stands in many rows."""

    def __init__(self) -> None:
        self._known: dict[str, int] = defaultdict(lambda: len(self._known))
        self._codes: list[npt.NDArray[np.int32]] = []
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    def add(self, values: npt.NDArray[np.object_], *, fine: npt.NDArray[np.bool_]) -> None:
        codes = np.full(len(values), -1, dtype=np.int32)
        there = fine & np.array([text is not None for text in values], dtype=np.bool_)
        codes[there] = [self._known[text] for text in values[there]]
        self._codes.append(codes)
        self._rows += len(values)

    def ids(self) -> Ids:
        marked = {text: text.startswith(_WRITTEN) for text in self._known}
        return Ids(
            named={text: code for text, code in self._known.items() if not marked[text]},
            written={
                text.removeprefix(_WRITTEN): code
                for text, code in self._known.items()
                if marked[text]
            },
            codes=np.concatenate(self._codes),
        )
