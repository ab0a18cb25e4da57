"""From a data frame with declared columns to what an encoder reads, with clear refusals.

Messages name the column and count the rows; they never repeat a value.
"""

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from models.errors import DataContractError
from models.schema import CategoryColumn, NumericColumn

OutOfBounds = Literal["refuse", "clamp"]


def columns(
    frame: pd.DataFrame,
    declared: Iterable[NumericColumn | CategoryColumn],
    *,
    out_of_bounds: OutOfBounds,
) -> dict[str, npt.NDArray[np.generic]]:
    """Give numbers as float64 (NaN: missing) and categories as indices (-1: missing).

    Categories are compared as text. Missing are None, NaN and the texts that the declaration
    names. Columns that are not declared are left aside.

    Raises:
        DataContractError: a column is absent, or a value of it is not what was declared.
    """
    wanted = tuple(declared)
    absent = [column.name for column in wanted if column.name not in frame.columns]
    if absent:
        raise DataContractError(
            f"the data frame lacks the columns {', '.join(absent)}",
            hint="The release's record names all of them, with their meaning.",
        )
    return {
        column.name: _numbers(frame[column.name], column, out_of_bounds=out_of_bounds)
        if isinstance(column, NumericColumn)
        else _codes(frame[column.name], column)
        for column in wanted
    }


def _numbers(
    series: "pd.Series[Any]", column: NumericColumn, *, out_of_bounds: OutOfBounds
) -> npt.NDArray[np.float64]:
    lacking = _lacking(series, column)
    try:
        values = pd.to_numeric(series.mask(lacking)).to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError):
        raise DataContractError(f"the column {column.name} holds values that are no numbers") from (
            None
        )
    present = ~lacking
    if np.isnan(values[present]).any():
        raise DataContractError(f"the column {column.name} holds values that are no numbers")
    if column.type == "integer":
        with np.errstate(invalid="ignore"):
            _refuse(present & (values != np.round(values)), column, "are not whole numbers")
    if out_of_bounds == "refuse":
        outside = present & ((values < column.minimum) | (values > column.maximum))
        _refuse(outside, column, f"lie outside {column.minimum:g} to {column.maximum:g}")
    clamped: npt.NDArray[np.float64] = np.clip(values, column.minimum, column.maximum)
    return clamped


def _codes(series: "pd.Series[Any]", column: CategoryColumn) -> npt.NDArray[np.int64]:
    lacking = _lacking(series, column)
    places, found = pd.factorize(series.mask(lacking).astype(object), use_na_sentinel=True)
    levels = [_text(level) for level in found]
    index = {level: number for number, level in enumerate(column.categories)}
    if column.type == "boolean":  # nodes read 0 and 1, and capitals, in the same way
        index |= {"0": index["false"], "1": index["true"]}
        levels = [level.lower() for level in levels]
    table = np.array([*(index.get(level, -2) for level in levels), -1], dtype=np.int64)
    codes: npt.NDArray[np.int64] = table[places]
    _refuse(codes == -2, column, "are none of its categories")  # noqa: PLR2004 - unknown
    return codes


def _lacking(
    series: "pd.Series[Any]", column: NumericColumn | CategoryColumn
) -> npt.NDArray[np.bool_]:
    lacking: npt.NDArray[np.bool_] = series.isna().to_numpy(dtype=np.bool_)
    if column.missing is None:
        _refuse(lacking, column, "are missing, which its declaration does not allow")
        return lacking
    if not pd.api.types.is_numeric_dtype(series.dtype):
        named = series.map(_text, na_action="ignore").isin(column.missing.values)
        lacking = lacking | named.to_numpy(dtype=np.bool_)
    return lacking


def _text(value: object) -> str:
    """Give the text of a category: whole floats as integers, truth values in lower case."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def _refuse(
    wrong: npt.NDArray[np.bool_], column: NumericColumn | CategoryColumn, problem: str
) -> None:
    count = int(wrong.sum())
    if count:
        raise DataContractError(
            f"the column {column.name}: {count} of its values {problem}",
            hint="Values outside the declared bounds can be clamped: out_of_bounds='clamp'."
            if problem.startswith("lie outside")
            else "",
        )
