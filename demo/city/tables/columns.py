"""What all tables are built with: identities, months, texts, and frames in a fixed row order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from demo.city.numbers import Numbers, Texts
from demo.city.population import DISTRICTS
from demo.city.settings import Bools, Dates, Floats, Whole
from demo.city.simulate import City

EPOCH = np.datetime64("2016-01", "M")
"""Month 0."""
AREAS = ("Norr", "Mitt", "Syd")
"""Areas of schools and offices: four districts each, in the order of the districts."""
DISTRICTS_AN_AREA = len(DISTRICTS) // len(AREAS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """The numbers of a city's persons, and the source of the tables' serial ids."""

    pnr: Texts
    """Demo number of each person of the population."""
    rank: Whole
    """Place of each person's number among all numbers in rising order: what rows are sorted by."""
    numbers: Numbers


def identify(city: City, numbers: Numbers) -> Identities:
    """Give every person of the city a demo number, former residents too.

    Raises:
        UsageError: a birth date has run out of numbers.
    """
    people = city.population
    pnr = numbers.persons(born=people.birth, woman=people.woman)
    rank = np.empty(pnr.size, dtype=np.int64)
    rank[np.argsort(pnr.astype(np.int64), kind="stable")] = np.arange(pnr.size)
    return Identities(pnr=pnr, rank=rank, numbers=numbers)


def words(codes: Whole | Bools, texts: Sequence[str | None]) -> Texts:
    """Give the text at each code's place; None where there is nothing to say."""
    chosen: Texts = np.array([*texts], dtype=object)[codes.astype(np.int64)]
    return chosen


def at(texts: Texts, place: Whole) -> Texts:
    """Give the text at each place; None for place -1."""
    found: Texts = texts[place]
    found[place < 0] = None
    return found


def month_text(month: Whole) -> Texts:
    """Write months (0 is January 2016) as YYYY-MM."""
    lowest = int(month.min(initial=0))
    names = (EPOCH + np.arange(lowest, int(month.max(initial=0)) + 1)).astype("U7").astype(object)
    texts: Texts = names[month - lowest]
    return texts


def first_day(month: Whole) -> Dates:
    """Give the first day of months (0 is January 2016)."""
    days: Dates = (EPOCH + month.astype("timedelta64[M]")).astype("datetime64[D]")
    return days


def last_day(month: Whole) -> Dates:
    """Give the last day of months (0 is January 2016)."""
    days: Dates = first_day(month + 1) - np.timedelta64(1, "D")
    return days


def with_gaps(values: Whole, missing: Bools) -> pd.arrays.IntegerArray:
    """Give whole numbers of which some are missing."""
    return pd.arrays.IntegerArray(values.astype(np.int64), np.asarray(missing))


def spread(total: Whole, capacity: Whole, noise: Floats) -> Whole:
    """Split each row's total over its cells: whole numbers, none above its cell's capacity.

    `total` has one entry per row, from 0 to the sum of the row's capacities; `noise` lies in
    [-.5, .5] and says which cells get more than their share. The sum is exact.
    """
    room = np.maximum(capacity.sum(axis=1, keepdims=True), 1)
    share = total[:, None] / room
    lean = noise - (noise * capacity).sum(axis=1, keepdims=True) / room
    wanted = capacity * (share + np.minimum(share, 1 - share) * lean)
    reached = np.floor(np.cumsum(wanted, axis=1) + 0.5).astype(np.int64)
    return np.diff(reached, axis=1, prepend=0)


def frame(columns: Mapping[str, object], *, by: Sequence[Whole]) -> pd.DataFrame:
    """Make a table of columns, in the order of the keys `by` (the first one weighs most).

    Texts become pandas' `str`, dates `datetime64[s]`, whole numbers `int64`.
    """
    order = np.lexsort(tuple(reversed(by)))
    made = {name: _column(values)[order] for name, values in columns.items()}
    return pd.DataFrame(made)


def _column(values: object) -> npt.NDArray[np.generic] | pd.api.extensions.ExtensionArray:
    if isinstance(values, pd.api.extensions.ExtensionArray):
        return values
    array = np.asarray(values)
    if array.dtype.kind == "O":
        return pd.array(array, dtype="str")
    if array.dtype.kind == "M":
        return array.astype("datetime64[s]")
    if array.dtype.kind in "biu":
        return array.astype(np.int64)
    return array
