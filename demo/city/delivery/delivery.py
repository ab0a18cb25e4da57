"""What the departments' systems deliver: one folder each, in its own format.

`Delivery` writes the clean tables of one block after the other, as they are or made dirty, and
tells where every planted defect went.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from demo.city.delivery import forms
from demo.city.delivery.files import CsvFile, GrowingFile, ParquetFile, SqliteFile
from demo.city.dirt.dirt import Dirt
from demo.city.dirt.kinds import Defect, Kind
from demo.city.dirt.soil import Soiled
from demo.city.settings import Settings

DEPARTMENTS: Final = ("kir", "sof", "amf", "skf", "vof")
"""The register and the four departments: the names of the folders, and what tables begin with."""

_DECLARATIONS = Path(__file__).parents[1] / "declarations"
_REGISTER = "kir_person"
_ALIASES = re.compile(r"^  aliases: \{.*\}\n", re.MULTILINE)
_ALIASES_ALONE = re.compile(r"^linkage:\n  aliases: \{.*\}\n(?! )", re.MULTILINE)
_IN_DATABASE = "vof_utford"
_DATABASE = "vof.sqlite"
_SCHOOL_YEAR = "lasar"


class Profile(StrEnum):
    """`clean`: the tables as they are; `dirty`: as real systems would deliver them."""

    CLEAN = "clean"
    DIRTY = "dirty"


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """One of the files that a table comes as: its name, and its school year if there is one."""

    name: str
    year: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Places:
    """Where each row of a table went: its file, by place in `files`, and its number there."""

    files: tuple[_File, ...]
    file: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]


class Delivery:
    """Writes the departments' folders under `out`, each ready to be a node's `datasets` folder.

    Every folder gets the register: departments hold it to say whom their own rows are about.
    """

    def __init__(self, out: Path, *, profile: Profile, settings: Settings) -> None:
        """Make the folders; `settings` are those of the first block that is to come."""
        self._out = out
        self._dirt = Dirt(settings) if profile == Profile.DIRTY else None
        self._files: dict[str, GrowingFile] = {}
        self._reported: set[Defect] = set()
        for department in DEPARTMENTS:
            folder = out / department
            folder.mkdir(parents=True, exist_ok=True)
            self._copy_declarations(department, folder)

    def add(self, tables: Mapping[str, pd.DataFrame]) -> tuple[Defect, ...]:
        """Write one block's clean tables after those of earlier blocks.

        Returns the defects planted in this block; none in the clean profile.
        """
        timed = {
            name: forms.at_noon(table) if _department(name) == "amf" else table
            for name, table in tables.items()
        }
        if self._dirt is None:
            soiled = {name: Soiled(frame=table) for name, table in timed.items()}
        else:
            soiled = self._dirt.soil(timed)
        return tuple(
            defect for name, table in soiled.items() for defect in self._deliver(name, table)
        )

    def close(self) -> None:
        """Finish all files, and give every department its copy of the register."""
        for file in self._files.values():
            file.close()
        whole = self._out / _REGISTER.partition("_")[0]
        for copied in (whole / f"{_REGISTER}.csv", whole / f"{_REGISTER}.yaml"):
            for department in DEPARTMENTS:
                folder = self._out / department
                if f"{whole.name}/{_REGISTER}.csv" in self._files and folder != whole:
                    shutil.copyfile(copied, folder / copied.name)

    def _copy_declarations(self, department: str, folder: Path) -> None:
        for path in sorted((_DECLARATIONS / department).glob("*.yaml")):
            if self._dirt is not None:
                shutil.copyfile(path, folder / path.name)
            elif path.stem != f"{department}_alias":
                text = path.read_text(encoding="utf-8")
                (folder / path.name).write_text(without_aliases(text), encoding="utf-8")

    def _deliver(self, table: str, soiled: Soiled) -> Iterator[Defect]:
        places = self._write(table, soiled)
        for defect in sorted(_defects(table, soiled, places), key=_order):
            if defect.row == 0:
                if defect in self._reported:
                    continue
                self._reported.add(defect)
            yield defect

    def _write(self, table: str, soiled: Soiled) -> _Places:
        frame = soiled.frame
        if _department(table) != "skf" or _SCHOOL_YEAR not in frame:
            only = _File(name=_file_name(table), year=None)
            rows = self._append(table, only, soiled, frame)
            return _Places(files=(only,), file=np.zeros(len(frame), dtype=np.int64), row=rows)
        year_of_row = frame[_SCHOOL_YEAR].to_numpy(dtype=np.int64)
        years = np.unique(year_of_row)
        files = tuple(_File(name=f"{table}_{year}.csv", year=int(year)) for year in years)
        row = np.zeros(len(frame), dtype=np.int64)
        for file in files:
            inside = year_of_row == file.year
            row[inside] = self._append(table, file, soiled, frame[inside])
        return _Places(files=files, file=np.searchsorted(years, year_of_row), row=row)

    def _append(
        self, table: str, file: _File, soiled: Soiled, frame: pd.DataFrame
    ) -> npt.NDArray[np.int64]:
        """Write rows to a file of the table; give their numbers in it."""
        key = f"{_department(table)}/{file.name}"
        if key not in self._files:
            kinds = {mark.kind for mark in soiled.file_marks if mark.is_of(file.year)}
            self._files[key] = _open(table, self._out / key, frame, kinds)
        growing = self._files[key]
        first = growing.rows + 1
        growing.append(frame)
        return np.arange(first, first + len(frame), dtype=np.int64)


def without_aliases(declaration: str) -> str:
    """Give a declaration that names no table of aliases: only the dirty profile has those."""
    alone = _ALIASES_ALONE.sub("linkage: {}\n", declaration)
    return _ALIASES.sub("", alone)


def _open(table: str, path: Path, frame: pd.DataFrame, kinds: AbstractSet[Kind]) -> GrowingFile:
    if path.suffix == ".parquet":
        return ParquetFile(path, like=frame)
    if path.suffix == ".sqlite":
        return SqliteFile(path, table=table, like=frame)
    columns = [str(name) for name in frame]
    if Kind.COLUMN_ORDER in kinds:
        columns = [columns[1], columns[0], *columns[2:]]
    return CsvFile(
        path,
        forms.CSV_FORMS[_department(table)],
        columns=columns,
        byte_order_mark=Kind.BYTE_ORDER_MARK in kinds,
    )


def _defects(table: str, soiled: Soiled, places: _Places) -> Iterator[Defect]:
    """Give the defects of one table as they lie in its files."""
    department = _department(table)
    for file in places.files:
        for mark in soiled.file_marks:
            if mark.is_of(file.year):
                yield Defect(
                    department=department,
                    table=table,
                    file=file.name,
                    row=0,
                    column=mark.column,
                    kind=mark.kind,
                    detail=mark.detail,
                )
    for planted in soiled.marks:
        files, rows = places.file[planted.positions], places.row[planted.positions]
        for file, row, detail in zip(files.tolist(), rows.tolist(), planted.details, strict=True):
            yield Defect(
                department=department,
                table=table,
                file=places.files[file].name,
                row=row,
                column=planted.column,
                kind=planted.kind,
                detail=detail,
            )


def _order(defect: Defect) -> tuple[str, int, str, str]:
    return defect.file, defect.row, defect.column, defect.kind


def _department(table: str) -> str:
    return table.partition("_")[0]


def _file_name(table: str) -> str:
    """Give the name of the one file that a table comes as."""
    if table == _IN_DATABASE:
        return _DATABASE
    return f"{table}.parquet" if _department(table) == "amf" else f"{table}.csv"
