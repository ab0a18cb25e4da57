"""Temporary ids: what a person who has no id yet gets, and what the alias table tells of it.

Half a percent of a department's persons had one during the first six months of their records. The
tables with one row per person have the real id: they were brought up to date, the others not.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from demo.city.dirt import ids as dirt_ids
from demo.city.dirt.kinds import Kind
from demo.city.dirt.soil import FileMark, Soil, Soiled

SHARE: Final = 0.005
IN_ALIAS_TABLE: Final = 0.6
MONTHS: Final = 6

_WHEN: Final = MappingProxyType(
    {
        "sof_utbetalning": "manad",
        "sof_beslut": "datum",
        "sof_barn": "anmalan_datum",
        "amf_insats": "start",
        "amf_aktivitet": "manad",
        "skf_elev": "lasar",
        "skf_franvaro": "manad",
        "skf_betyg": "lasar",
        "skf_stod": "start",
        "skf_slutbetyg": "lasar",
        "vof_beslut": "start",
        "vof_utford": "manad",
    }
)
"""Tables with rows from a person's first months, and the column that says when."""
_AUGUST, _JUNE = 8, 6
_MONTH_OF_SCHOOL_YEAR: Final = MappingProxyType({"skf_elev": _AUGUST - 12})
"""Pupils are registered in the August before; grades are set in June."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Alias:
    temporary: str
    known: bool


def assign(
    soils: Mapping[str, Soil], *, department: str, first_serial: int, generator: np.random.Generator
) -> tuple[Soiled, int]:
    """Put temporary ids in a department's tables.

    `soils` holds the department's tables by name. Gives the alias table and the serial number
    after the last one used. The numbers begin with six zeros or so: no reader can take the
    third and fourth digit for a month.
    """
    moments = {table: _months(table, soil.frame) for table, soil in soils.items() if table in _WHEN}
    persons = _persons({table: soils[table] for table in moments})
    chosen, known = _draw(persons, generator)
    aliases = {
        person: _Alias(temporary=f"{dirt_ids.TEMPORARY}{serial:010d}", known=bool(listed))
        for serial, (person, listed) in enumerate(zip(chosen, known, strict=True), first_serial)
    }
    first = _first_months(soils, moments, aliases)
    for table, month in moments.items():
        _replace(soils[table], month, aliases, first)
    return _alias_table(aliases, department), first_serial + len(aliases)


def _draw(
    persons: npt.NDArray[np.object_], generator: np.random.Generator
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.bool_]]:
    """Draw persons, and tell which are in the alias table: one at least, so that it has rows."""
    count = max(int(generator.binomial(len(persons), SHARE)), min(len(persons), 1))
    chosen = generator.choice(persons, size=count, replace=False)
    known = np.zeros(count, dtype=np.bool_)
    known[: math.ceil(IN_ALIAS_TABLE * count)] = True
    return chosen, generator.permutation(known)


def _persons(soils: Mapping[str, Soil]) -> npt.NDArray[np.object_]:
    found = [pd.Series(soil.frame[_id_column(soil)].unique()) for soil in soils.values()]
    if not found:
        return np.array([], dtype=object)
    return np.sort(pd.concat(found).unique().astype(object))


def _first_months(
    soils: Mapping[str, Soil],
    moments: Mapping[str, npt.NDArray[np.int64]],
    aliases: Mapping[str, _Alias],
) -> dict[str, int]:
    """Give the month of each chosen person's first record in the department."""
    records = [
        pd.DataFrame({"person": soils[table].frame[_id_column(soils[table])], "month": month})
        for table, month in moments.items()
    ]
    chosen = [record[record["person"].isin(list(aliases))] for record in records]
    if not chosen:
        return {}
    first = pd.concat(chosen).groupby("person")["month"].min()
    return {str(person): int(month) for person, month in first.items()}


def _replace(
    soil: Soil,
    month: npt.NDArray[np.int64],
    aliases: Mapping[str, _Alias],
    first: Mapping[str, int],
) -> None:
    column = _id_column(soil)
    candidates = np.flatnonzero(soil.frame[column].isin(list(aliases)))
    persons = soil.frame[column].iloc[candidates].tolist()
    since = month[candidates] - np.array([first[person] for person in persons], dtype=np.int64)
    early = since < MONTHS
    replaced = [
        aliases[person] for person, is_early in zip(persons, early, strict=True) if is_early
    ]
    soil.plant(
        Kind.TEMPORARY_ID,
        column,
        candidates[early],
        [alias.temporary for alias in replaced],
        details=("alias" if alias.known else "" for alias in replaced),
    )


def _alias_table(aliases: Mapping[str, _Alias], department: str) -> Soiled:
    listed = {alias.temporary: person for person, alias in aliases.items() if alias.known}
    ids = pd.Series(list(listed.values()), dtype="str")
    form = (FileMark(kind=Kind.ID_FORM, column="pnr"),)
    return Soiled(
        frame=pd.DataFrame(
            {
                "tillfalligt_id": pd.Series(list(listed), dtype="str"),
                "pnr": dirt_ids.written(ids, department),
            }
        ),
        file_marks=form if dirt_ids.has_own_form(department) else (),
    )


def _months(table: str, frame: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Give when each record was made, as a month counted from year 0."""
    column: pd.Series[Any] = frame[_WHEN[table]]
    if _WHEN[table] == "lasar":
        within = _MONTH_OF_SCHOOL_YEAR.get(table, _JUNE)
        return column.to_numpy(dtype=np.int64) * 12 + within
    if pd.api.types.is_datetime64_any_dtype(column):
        months: npt.NDArray[np.int64] = (column.dt.year * 12 + column.dt.month).to_numpy()
        return months.astype(np.int64)
    codes, distinct = pd.factorize(column)
    numbers = [int(text[:4]) * 12 + int(text[5:]) for text in distinct]
    return np.array(numbers, dtype=np.int64)[codes] if numbers else codes


def _id_column(soil: Soil) -> str:
    return "sokande_pnr" if "sokande_pnr" in soil.frame else "pnr"
