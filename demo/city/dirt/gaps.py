"""What is missing or odd about the structure of the deliveries: months, offices, a school."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd

from demo.city import codes
from demo.city.dirt.kinds import Kind
from demo.city.dirt.soil import Bools, FileMark, Soil

EMPTY_MONTH: Final = "2021-03"
"""The month that the labour-market department's attendance lacks."""
OFFICE: Final = "Syd"
OFFICE_YEARS: Final = ("2016", "2017")
"""First and last year without payments and decisions of that office of social services."""
PROVIDER_YEAR: Final = "2020"
"""The year for which one provider of care reported no hours."""
SMALL_SCHOOL_YEAR: Final = 2024
SMALL_SCHOOL_PUPILS: Final = 3

_BY_OFFICE: Final = MappingProxyType({"sof_utbetalning": "manad", "sof_beslut": "datum"})
"""Tables whose rows an office delivers, and the column that says when."""
_CLIENTS, _PROVIDERS = 3, 8
_BIRTH_NUMBER = slice(8, 11)


def cut(
    tables: Mapping[str, pd.DataFrame], generator: Callable[[str], np.random.Generator]
) -> dict[str, Soil]:
    """Leave out the rows that were never delivered; give what is left, to be soiled.

    `generator` gives each table's own.
    """
    soils: dict[str, Soil] = {}
    for table, frame in tables.items():
        if table == "amf_aktivitet":
            lost = (frame["manad"] == EMPTY_MONTH).to_numpy(dtype=np.bool_)
            mark = FileMark(kind=Kind.EMPTY_MONTH, column="manad", detail=EMPTY_MONTH)
        elif table in _BY_OFFICE:
            lost = _of_office(frame, _BY_OFFICE[table], tables["sof_person"])
            detail = f"{OFFICE} {'-'.join(OFFICE_YEARS)}"
            mark = FileMark(kind=Kind.OFFICE_GAP, column=_BY_OFFICE[table], detail=detail)
        else:
            soils[table] = Soil(frame, generator(table))
            continue
        soils[table] = Soil(frame[~lost].reset_index(drop=True), generator(table))
        if lost.any():
            soils[table].file_marks.append(mark)
    return soils


def silence_provider(hours: Soil) -> None:
    """Take away the hours that one provider's clients had in its bad year (vof_utford).

    The table has no column for the provider: its clients are an eighth of all, by birth number.
    """
    in_year = hours.frame["manad"].str.startswith(PROVIDER_YEAR).to_numpy(dtype=np.bool_)
    rows = np.flatnonzero(in_year)
    birth_number = hours.frame["pnr"].iloc[rows].str[_BIRTH_NUMBER].astype(np.int64).to_numpy()
    positions = rows[birth_number % _PROVIDERS == _CLIENTS]
    hours.plant(Kind.PROVIDER_GAP, "timmar", positions, np.nan)


def move_to_small_school(pupils: Soil) -> None:
    """Move three pupils of the last school year to a school of their own (skf_elev)."""
    last_year = (pupils.frame["lasar"] == SMALL_SCHOOL_YEAR).to_numpy(dtype=np.bool_)
    if last_year.sum() < SMALL_SCHOOL_PUPILS:
        return
    positions = pupils.draw("skola_id", SMALL_SCHOOL_PUPILS, where=last_year)
    pupils.put("skola_id", positions, codes.SMALL_SCHOOL)
    for column in ("skola_id", "pnr", "vh1_pnr", "vh2_pnr"):  # a spoilt id would cost a pupil
        pupils.reserve(column, positions)
    pupils.file_marks.append(
        FileMark(
            kind=Kind.SMALL_SCHOOL,
            column="skola_id",
            detail=codes.SMALL_SCHOOL,
            year=SMALL_SCHOOL_YEAR,
        )
    )


def invent_district(soil: Soil, column: str) -> None:
    """Put one resident in a district that does not exist."""
    is_number = pd.api.types.is_integer_dtype(soil.frame[column])
    district = codes.UNKNOWN_DISTRICT if is_number else str(codes.UNKNOWN_DISTRICT)
    soil.plant(Kind.UNKNOWN_DISTRICT, column, soil.draw(column, 1), district)


def _of_office(frame: pd.DataFrame, when: str, persons: pd.DataFrame) -> Bools:
    """Tell which rows are of applicants of the office, in the years that it lacks."""
    clients = persons.loc[persons["kontor"] == OFFICE, "pnr"]
    year = frame[when].astype("str").str[:4]
    inside = frame["sokande_pnr"].isin(clients) & year.between(*OFFICE_YEARS)
    return inside.to_numpy(dtype=np.bool_)
