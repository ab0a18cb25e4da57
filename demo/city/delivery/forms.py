"""How each department writes its values: the agreed file formats, the same in both profiles."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

LOCAL_TIME: Final = "Europe/Stockholm"
_NOON: Final = np.timedelta64(12, "h")


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvForm:
    """How a department writes text files.

    Attributes:
        encoding, delimiter, decimal: as in the declaration of the table.
        date_format: for `strftime`.
        open_end: what stands for a date that has not come.
    """

    encoding: str
    delimiter: str
    decimal: str
    date_format: str
    open_end: str


CSV_FORMS: Final = MappingProxyType(
    {
        "kir": CsvForm(
            encoding="utf-8", delimiter=",", decimal=".", date_format="%Y-%m-%d", open_end=""
        ),
        "sof": CsvForm(
            encoding="iso-8859-1", delimiter=";", decimal=",", date_format="%Y-%m-%d", open_end=""
        ),
        "skf": CsvForm(
            encoding="utf-8", delimiter=",", decimal=".", date_format="%Y%m%d", open_end=""
        ),
        "vof": CsvForm(
            encoding="windows-1252",
            delimiter=";",
            decimal=",",
            date_format="%d/%m/%Y",
            open_end="31/12/9999",
        ),
    }
)
"""The text formats by department; the labour market's files are Parquet."""


def texts(frame: pd.DataFrame, form: CsvForm) -> pa.Table:
    """Give every cell as it is written; a missing value is an empty text."""
    return pa.table({str(name): _texts(frame[name], form) for name in frame})


def at_noon(frame: pd.DataFrame) -> pd.DataFrame:
    """Give dates as local times in the middle of the day, when the date is the same in UTC."""
    dates = frame.select_dtypes("datetime")
    return frame.assign(**{str(name): dates[name] + _NOON for name in dates})


def typed(frame: pd.DataFrame) -> pa.Table:
    """Give Arrow columns: text, whole numbers, tenths, and local times with their zone."""
    return pa.table({str(name): _typed(frame[name]) for name in frame})


def _texts(column: "pd.Series[Any]", form: CsvForm) -> pa.Array:
    if pd.api.types.is_datetime64_any_dtype(column):
        return _each(column, lambda day: day.strftime(form.date_format), missing=form.open_end)
    if pd.api.types.is_float_dtype(column):
        return _each(column, lambda tenths: f"{tenths:.1f}".replace(".", form.decimal))
    if pd.api.types.is_integer_dtype(column):
        return _each(column, str)
    return pa.array(column, type=pa.string(), from_pandas=True)


def _each(
    column: "pd.Series[Any]", write: Callable[[Any], str], *, missing: str | None = None
) -> pa.Array:
    """Write each distinct value once: columns of dates and hours repeat few values often."""
    codes, distinct = pd.factorize(column)
    written = pa.array([*map(write, distinct), missing], type=pa.string())
    return written.take(pa.array(np.where(codes < 0, len(distinct), codes)))


def _typed(column: "pd.Series[Any]") -> pa.Array:
    if pd.api.types.is_datetime64_any_dtype(column):
        zoned = column.dt.tz_localize(LOCAL_TIME)
        return pa.array(zoned, type=pa.timestamp("ms", tz=LOCAL_TIME), from_pandas=True)
    if pd.api.types.is_float_dtype(column):
        return pa.array(column, type=pa.float64(), from_pandas=True)
    if pd.api.types.is_integer_dtype(column):
        return pa.array(column, type=pa.int64(), from_pandas=True)
    return pa.array(column, type=pa.string(), from_pandas=True)
