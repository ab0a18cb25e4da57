"""Values that are wrong, missing or written in an older way, column by column."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from demo.city import codes
from demo.city.dirt.kinds import Kind
from demo.city.dirt.soil import FileMark, Soil, Soiled

OUT_OF_BOUNDS_RATE: Final = 0.0005
MISSING_RATE: Final = 0.015
MISSING_ABROAD_SHARE: Final = 0.25
"""Of those born abroad whose education was known: the share of whom it is not any more."""
CODED_SHARE: Final = 0.5
"""Of the missing values of a column with a missing code: the share that is written so."""
UTC_DATE_SHARE: Final = 0.5
"""Of the dates on 1 January: the share that was registered half an hour after midnight."""

_BORN_HERE = "Sverige"
_RETIRED_BEFORE = np.datetime64("2019-01-01")
_NEW_AMOUNTS_SINCE = "2021"
_NO_BREAK_SPACE = "\u00a0"
_HALF_PAST_MIDNIGHT = np.timedelta64(30, "m")

_IMPOSSIBLE: Final[Mapping[tuple[str, str], Callable[[pd.DataFrame, str], Any]]] = MappingProxyType(
    {
        ("sof_utbetalning", "belopp_kr"): lambda rows, _: np.full(len(rows), 999_999),
        ("amf_aktivitet", "narvaro_tim"): lambda rows, column: -1 - rows[column],
        ("skf_franvaro", "ogiltig_tim"): lambda rows, _: rows["planerad_tim"] + 100.0,
        ("vof_beslut", "timmar_man"): lambda rows, column: -1.0 - rows[column],
        ("vof_utford", "timmar"): lambda rows, column: -1.0 - rows[column],
    }
)
"""Values outside every bound, by table and column."""

MAY_BE_MISSING: Final = (
    ("sof_utbetalning", "hinder"),
    ("sof_beslut", "handlaggare"),
    ("sof_barn", "utredning"),
    ("amf_insats", "slutorsak"),
    ("amf_aktivitet", "narvaro_tim"),
    ("skf_elev", "omrade"),
    ("skf_betyg", "betyg"),
    ("vof_person", "ensamboende"),
    ("vof_beslut", "timmar_man"),
    ("vof_utford", "timmar"),
)
"""Columns that lose values at random: what a clerk enters, never a key."""


def spoil(soil: Soil, table: str) -> None:
    """Spoil the values of a table, as far as it has columns for that."""
    for (of_table, column), impossible in _IMPOSSIBLE.items():
        if of_table == table:
            positions = soil.pick(column, OUT_OF_BOUNDS_RATE)
            values = impossible(soil.frame.iloc[positions], column)
            soil.plant(Kind.OUT_OF_BOUNDS, column, positions, np.asarray(values))
    for of_table, column in MAY_BE_MISSING:
        if of_table == table:
            soil.plant(Kind.MISSING, column, soil.pick(column, MISSING_RATE), None)
    if table == "sof_person":
        _lose_education_abroad(soil)
    for (of_table, column), code in codes.MISSING_CODES.items():
        if of_table == table:
            _write_missing(soil, column, code)
    if table == "amf_insats":
        _use_retired_codes(soil)
        _register_after_midnight(soil)


def with_old_amounts(payments: Soiled) -> Soiled:
    """Write the amounts as the system did before 2021 and does since (sof_utbetalning)."""
    frame = payments.frame
    old = (frame["manad"] < f"{_NEW_AMOUNTS_SINCE}-01").to_numpy(dtype=np.bool_)
    places, distinct = pd.factorize(frame["belopp_kr"])
    grouped = [f"{amount:,}".replace(",", _NO_BREAK_SPACE) + ",00" for amount in distinct]
    plain = [str(amount) for amount in distinct]
    texts = np.where(
        old, np.array(grouped, dtype=object)[places], np.array(plain, dtype=object)[places]
    )
    form = (FileMark(kind=Kind.AMOUNT_FORM, column="belopp_kr"),) if old.any() else ()
    return Soiled(
        frame=frame.assign(belopp_kr=pd.array(texts, dtype="str")),
        marks=payments.marks,
        file_marks=(*payments.file_marks, *form),
    )


def _lose_education_abroad(persons: Soil) -> None:
    abroad = (persons.frame["fodelseland_grp"] != _BORN_HERE).to_numpy(dtype=np.bool_)
    known = persons.frame["utb"].notna().to_numpy(dtype=np.bool_)
    lost = persons.generator.random(len(abroad)) < MISSING_ABROAD_SHARE
    persons.plant(Kind.MISSING_MORE_OFTEN, "utb", np.flatnonzero(abroad & known & lost), None)


def _write_missing(soil: Soil, column: str, code: str) -> None:
    """Write a code where a value is missing; where none is, some go missing that way."""
    missing = soil.empty(column)
    if missing.any():
        positions = np.flatnonzero(missing & (soil.generator.random(len(missing)) < CODED_SHARE))
    else:
        positions = soil.pick(column, MISSING_RATE)
    is_number = pd.api.types.is_integer_dtype(soil.frame[column])
    soil.plant(Kind.MISSING_CODE, column, positions, int(code) if is_number else code)


def _use_retired_codes(programmes: Soil) -> None:
    old = np.flatnonzero(programmes.frame["start"] < _RETIRED_BEFORE)
    chance = programmes.generator.random(len(old))
    texts = []
    for current, share in zip(programmes.frame["typ"].iloc[old], chance, strict=True):
        retired = [old for old, new in codes.RETIRED_PROGRAMMES.items() if new == current]
        texts.append(retired[int(share * len(retired))])
    programmes.plant(Kind.RETIRED_CODE, "typ", old, texts)


def _register_after_midnight(programmes: Soil) -> None:
    for column in ("start", "slut"):
        days = programmes.frame[column]
        new_year = ((days.dt.month == 1) & (days.dt.day == 1)).to_numpy(dtype=np.bool_)
        late = programmes.generator.random(len(days)) < UTC_DATE_SHARE
        chosen = np.flatnonzero(new_year & late)
        moments = days.iloc[chosen].dt.normalize() + _HALF_PAST_MIDNIGHT
        programmes.plant(Kind.UTC_DATE, column, chosen, moments)
