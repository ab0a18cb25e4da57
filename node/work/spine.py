"""A department's records on the spine: for each variable one category per resident of the register.

Nothing here is a release, so nothing here has a public name: `node.work.linked_bench` alone uses
it. What the categories and groups are is in `models.linkage`; which of a household's residents
count is what the bound of `models.linkage.plan` rests on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import DataContractError
from models.governance.linked import LinkedStudy, LinkedVariable
from models.linkage.coding import NONE, coding
from models.linkage.groups import Group, Layout
from models.replicated import mixing
from models.replicated.mixing import SpineKey
from models.schema import StudyColumn
from node.datasets import Dataset
from node.vault.records import LinkedBatch, linked
from node.vault.register import NO_HOUSEHOLD, Register

_Ints = npt.NDArray[np.int64]
_Bools = npt.NDArray[np.bool_]
_Codes = npt.NDArray[np.int16]

_PRESENT = 0
"""The category of a variable without a column: that there is a record."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Spine:
    """The register's residents in the order of a run.

    Attributes:
        order: shape (residents,): which resident (place in the register) each row is.
        households: of each resident of the register, a number from 0; whoever has none is alone.
        hidden: who is left out of every row.
        digest: of the snapshot, under the departments' secret: 64 hex digits.
    """

    order: _Ints
    households: _Ints
    hidden: _Bools
    digest: str

    @classmethod
    def of(cls, study: LinkedStudy, register: Register, *, key: SpineKey) -> "_Spine":
        residents = len(register.ids)
        hidden = np.zeros(residents, dtype=np.bool_)
        if _hides(study) and register.protected is not None:
            hidden = register.protected
        return cls(
            order=mixing.order(register.ids, key),
            households=_households(register),
            hidden=hidden,
            digest=mixing.digest(_snapshot(study, register), key),
        )


def _hides(study: LinkedStudy) -> bool:
    return study.register.protected == "leave-out"


def _limited(study: LinkedStudy) -> bool:
    """Tell whether only some of a household's residents count."""
    return study.privacy.unit == "household" or study.linking


def _households(register: Register) -> _Ints:
    alone = np.arange(len(register.ids), dtype=np.int64)
    if register.households is None:
        return alone
    known = register.households != NO_HOUSEHOLD
    first = int(register.households.max(initial=NO_HOUSEHOLD)) + 1
    return np.where(known, register.households, first + alone)


def _snapshot(study: LinkedStudy, register: Register) -> bytes:
    """Give the bytes that are the same for the same register, as far as the study uses it."""
    parts = [register.date.isoformat().encode()]
    parts += [text.encode() for text in register.ids]
    if _limited(study) and register.households is not None:
        parts.append(register.households.astype("<i8").tobytes())
    if _hides(study) and register.protected is not None:
        parts.append(register.protected.astype(np.uint8).tobytes())
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Coded:
    """What a department shares, before it is cut into zeros and ones.

    Attributes:
        codes: by variable, the category of each row of the spine, or `NONE`.
        unlinked: how many residents of the records are not in the register.
        protected: how many units with protected identity have records that were left out.
    """

    codes: Mapping[str, _Codes]
    unlinked: int
    protected: int

    def columns(self, layout: Layout, *, department: str, rows: slice) -> npt.NDArray[np.uint8]:
        """Give the department's zeros and ones of some rows, its groups side by side."""
        count = rows.stop - rows.start
        out = np.zeros((count, layout.columns(department)), dtype=np.uint8)
        start = 0
        for place in layout.owned(department):
            group = layout.groups[place]
            for offset, codes in self._ones(group, rows):
                counted = np.flatnonzero(codes != NONE)
                out[counted, start + offset + codes[counted]] = 1
            start += group.width
        return out

    def _ones(self, group: Group, rows: slice) -> Iterator[tuple[int, npt.NDArray[np.int32]]]:
        """Give at which column of the group each row has a 1, after an offset."""
        parts = [self.codes[axis.variable][rows].astype(np.int32) for axis in group.axes]
        if group.stacked:
            start = 0
            for axis, part in zip(group.axes, parts, strict=True):
                yield start, part
                start += axis.width
            return
        crossed = np.zeros_like(parts[0])
        for axis, part in zip(group.axes, parts, strict=True):
            crossed = crossed * axis.width + part
        nowhere = np.any([part == NONE for part in parts], axis=0)
        yield 0, np.where(nowhere, NONE, crossed)


def _coded(
    study: LinkedStudy,
    *,
    department: str,
    datasets: Mapping[str, Dataset],
    register: Register,
    spine: _Spine,
) -> _Coded:
    """Read the department's records and put them on the spine.

    Raises:
        DataContractError: a dataset cannot be read as declared, or has two records of a resident.
    """
    variables = [item for item in study.variables if item.department == department]
    names = list(dict.fromkeys(item.dataset for item in variables))
    read = {
        name: _Read.of(study, [v for v in variables if v.dataset == name], datasets[name], register)
        for name in names
    }
    anywhere = np.any([table.present for table in read.values()], axis=0)
    for table in read.values():
        table.present[spine.hidden] = False
    counted = _counted(study, variables, read, spine)
    codes = {
        item.name: _placed(study, item, read[item.dataset], counted=counted, spine=spine)
        for item in variables
    }
    return _Coded(
        codes=codes,
        unlinked=len(frozenset[str]().union(*(table.strangers for table in read.values()))),
        protected=_units(study, anywhere & spine.hidden, spine),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Read:
    """One dataset's records by the residents' places in the register.

    Attributes:
        present: who has a record.
        codes: by variable, the category of each resident who has.
        strangers: the ids of residents who are not in the register.
    """

    present: _Bools
    codes: dict[str, _Codes]
    strangers: frozenset[str]

    @classmethod
    def of(
        cls,
        study: LinkedStudy,
        variables: list[LinkedVariable],
        dataset: Dataset,
        register: Register,
    ) -> "_Read":
        size, strangers = len(register.ids), set[str]()
        once = _Once(dataset, size)
        codes = {item.name: np.full(size, NONE, dtype=np.int16) for item in variables}
        made = {item.name: coding(study, item.name) for item in variables}
        columns = {item.name: study.column(item.name) for item in variables}
        for batch in linked(dataset, columns=_asked(columns), register=register):
            strangers |= batch.strangers
            once.add(batch)
            for name, column in columns.items():
                codes[name][batch.places] = (
                    _PRESENT
                    if column is None
                    else made[name].codes(batch.columns[column.name]).astype(np.int16)
                )
        return cls(present=once.rows > 0, codes=codes, strangers=frozenset(strangers))


def _asked(columns: Mapping[str, StudyColumn | None]) -> list[StudyColumn]:
    """Give each column once: several variables may be of one."""
    return list({column.name: column for column in columns.values() if column}.values())


class _Once:
    """Refuses a second record of a resident. `rows`: the row of each one's record; 0: none."""

    def __init__(self, dataset: Dataset, residents: int) -> None:
        self._dataset = dataset
        self.rows = np.zeros(residents, dtype=np.int64)
        self._files: list[str] = []
        self._file = np.zeros(residents, dtype=np.int32)

    def add(self, batch: LinkedBatch) -> None:
        order = np.argsort(batch.places, kind="stable")
        ordered = batch.places[order]
        again = np.flatnonzero(ordered[1:] == ordered[:-1])
        if len(again):
            one, other = (order[again[0] + step] for step in (0, 1))
            self._refuse(batch.file, int(batch.rows[one]), batch, int(other))
        before = np.flatnonzero(self.rows[batch.places])
        if len(before):
            place = batch.places[before[0]]
            file = self._files[self._file[place]]
            self._refuse(file, int(self.rows[place]), batch, int(before[0]))
        if batch.file not in self._files:
            self._files.append(batch.file)
        self.rows[batch.places] = batch.rows
        self._file[batch.places] = self._files.index(batch.file)

    def _refuse(self, file: str, row: int, batch: LinkedBatch, other: int) -> None:
        name = self._dataset.declaration.name
        raise DataContractError(
            f"the dataset {name} has two records of one resident: {file}, row {row}, and "
            f"{batch.file}, row {batch.rows[other]}",
            hint="A linked study reads one record per resident: declare an analysis table that "
            "sums up each resident's records, or a primary key by which a later row counts.",
        )


def _counted(
    study: LinkedStudy,
    variables: list[LinkedVariable],
    read: Mapping[str, _Read],
    spine: _Spine,
) -> _Bools:
    """Give whose own records count: where it is limited, the first few of each household."""
    own = {item.dataset for item in variables if item.of == "resident"}
    size = len(spine.order)
    having = np.zeros(size, dtype=np.bool_)
    for name in own:
        having |= read[name].present
    if not _limited(study):
        return having
    ordered = spine.order[having[spine.order]]  # in the order of the spine
    sort = np.argsort(spine.households[ordered], kind="stable")
    homes = spine.households[ordered][sort]
    starts = np.flatnonzero(np.concatenate([[True], homes[1:] != homes[:-1]])[: len(homes)])
    nth = np.arange(len(homes)) - np.repeat(starts, np.diff([*starts, len(homes)]))
    kept = np.zeros(size, dtype=np.bool_)
    kept[ordered[sort][nth < study.privacy.rows_per_household]] = True
    return kept


def _placed(
    study: LinkedStudy, item: LinkedVariable, table: _Read, *, counted: _Bools, spine: _Spine
) -> _Codes:
    """Give a variable's category of each row of the spine."""
    absent, mine = coding(study, item.name).absent, table.codes[item.name]
    if item.of == "household":
        homes = spine.households
        last = np.full(int(homes.max(initial=0)) + 1, NONE, dtype=np.int16)
        np.maximum.at(last, homes[table.present], mine[table.present])
        known = np.zeros(len(last), dtype=np.bool_)
        known[homes[table.present]] = True
        found = np.where(known[homes], last[homes], absent)
    else:
        found = np.where(table.present & counted, mine, absent)
    found[spine.hidden] = NONE
    placed: _Codes = found[spine.order].astype(np.int16)
    return placed


def _units(study: LinkedStudy, residents: _Bools, spine: _Spine) -> int:
    """Give how many units the residents are."""
    if study.privacy.unit == "household":
        return len(np.unique(spine.households[residents]))
    return int(np.count_nonzero(residents))
