"""Numbers that identify the residents, and can never be a person's.

A demo number is written as a Swedish personnummer (YYYYMMDDNNNC: birth date, three-digit birth
number that is odd for a man and even for a woman, Luhn check digit over YYMMDDNNN) with 80 added
to the month. Months 81-92 occur in no real number: a personnummer and a coordination number have
months 01-12. The check digit is computed over the digits as they are written.
"""

from dataclasses import dataclass
from math import gcd

import numpy as np
import numpy.typing as npt

from models.errors import UsageError

MONTH_OFFSET = 80
FIRST_YEAR, LAST_YEAR = 1900, 2029
DAYS_A_YEAR_SLOT = 12 * 31  # a slot per month and day: some stand for no date, and stay unused
# Birth numbers of the municipalities: together the whole country, and never the same one twice.
BIRTH_NUMBERS = {"A": range(1, 800), "B": range(800, 960), "C": range(960, 1000)}

Integers = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """For every birth date and sex, the order in which birth numbers are given out.

    The numbers first, first + 2, ... are walked from place `start` in strides of `step`, which
    has no divisor in common with how many there are: every one comes up once.
    """

    first: tuple[int, int]
    size: tuple[int, int]
    start: npt.NDArray[np.int16]
    step: npt.NDArray[np.int16]


class Numbers:
    """Gives out identities; remembers what it gave, so that none comes twice.

    One object serves every block of a municipality. The order in which a birth date's numbers
    are given out is drawn from `generator` when the object is made, and never again.
    """

    def __init__(self, *, generator: np.random.Generator, municipality: str) -> None:
        """Prepare the numbers of municipality `A`, `B` or `C`."""
        self._order = _order(generator, BIRTH_NUMBERS[municipality])
        self._given = np.zeros_like(self._order.start)
        self._counts: dict[str, int] = {}

    def persons(self, *, born: npt.NDArray[np.datetime64], woman: npt.NDArray[np.bool_]) -> Texts:
        """Give a demo number to each person, from birth date and sex.

        Raises:
            UsageError: more persons are born on one day than there are numbers for.
        """
        year, month, day = _calendar(born)
        sex = woman.astype(np.int64)
        slot = (year - FIRST_YEAR) * DAYS_A_YEAR_SLOT + (month - 1) * 31 + (day - 1)
        place = self._take(slot, sex)
        size = np.array(self._order.size)[sex]
        walked = (self._order.start[slot, sex] + place * self._order.step[slot, sex]) % size
        birth_number = np.array(self._order.first)[sex] + 2 * walked
        written = (year * 100 + month + MONTH_OFFSET) * 100 + day
        digits = written * 1000 + birth_number
        digits = digits * 10 + check_digit(digits)
        texts: Texts = digits.astype("U12").astype(object)
        return texts

    def running(self, kind: str, count: int, *, width: int) -> Texts:
        """Give the next `count` serial ids of a kind: `B000001`, with at least `width` digits."""
        return self.some(kind, np.arange(count), of=count, width=width)

    def some(self, kind: str, places: npt.NDArray[np.integer], *, of: int, width: int) -> Texts:
        """Give those of the next `of` serial ids of a kind that stand at `places`, from 0.

        The others are never given to anything: what an id is for decides over it, and not how
        many there were before.
        """
        first = self._counts.get(kind, 0) + 1
        self._counts[kind] = first + of - 1
        serials = (places + first).tolist()
        return np.array([f"{kind}{serial:0{width}d}" for serial in serials], dtype=object)

    def _take(self, slot: Integers, sex: Integers) -> Integers:
        """Give for each person how many numbers of its date and sex were given out before."""
        key = slot * 2 + sex
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if key.size else key
        lengths = np.diff(np.r_[begins, key.size])
        before = np.empty(key.size, dtype=np.int64)
        before[order] = np.arange(key.size) - np.repeat(begins, lengths)
        place = self._given[slot, sex] + before
        if np.any(place >= np.array(self._order.size)[sex]):
            raise UsageError(
                "a birth date has run out of demo numbers",
                hint="Ask for fewer residents, or a smaller --scale.",
            )
        self._given[slot[order[begins]], sex[order[begins]]] += lengths.astype(np.int16)
        return place


def check_digit(digits: Integers) -> Integers:
    """Give the Luhn check digits for numbers YYYYMMDDNNN: over YYMMDDNNN, the last nine."""
    total = np.zeros_like(digits)
    rest = digits
    for place in range(9):
        digit = rest % 10
        doubled = digit * 2 if place % 2 == 0 else digit
        total = total + doubled // 10 + doubled % 10
        rest = rest // 10
    return -total % 10


def _calendar(days: npt.NDArray[np.datetime64]) -> tuple[Integers, Integers, Integers]:
    """Give year, month and day of dates."""
    months = days.astype("datetime64[M]")
    count = months.astype(np.int64)
    day = (days.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64) + 1
    return count // 12 + 1970, count % 12 + 1, day


def _order(generator: np.random.Generator, numbers: range) -> _Order:
    """Draw the order of the birth numbers for every date; index 0 is men, 1 women."""
    slots = (LAST_YEAR - FIRST_YEAR + 1) * DAYS_A_YEAR_SLOT
    sets = [[n for n in numbers if n % 2 == 1], [n for n in numbers if n % 2 == 0]]
    start = np.empty((slots, 2), dtype=np.int16)
    step = np.empty((slots, 2), dtype=np.int16)
    for sex, chosen in enumerate(sets):
        strides = [stride for stride in range(1, len(chosen)) if gcd(stride, len(chosen)) == 1]
        start[:, sex] = generator.integers(0, len(chosen), slots)
        step[:, sex] = generator.choice(strides, slots)
    return _Order(
        first=(sets[0][0], sets[1][0]),
        size=(len(sets[0]), len(sets[1])),
        start=start,
        step=step,
    )
