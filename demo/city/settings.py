"""Which city is made: seed, size, municipality and the multipliers of the planted effects."""

import zlib
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import special

Bools = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]

FIRST_YEAR: Final = 2016
LAST_YEAR: Final = 2024
MONTHS: Final = 108
"""Months with records, numbered from 0 (January 2016) to 107 (December 2024)."""
BURN_IN: Final = 60
"""Months simulated before month 0, so that spells are under way when the records begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """Multipliers of the planted effects: 1 as specified, 0 none, negative reversed.

    `j1` long-term assistance and eligibility, `j2` work-based programmes and leaving assistance,
    `j3` care at home and absence, `j4` special support and eligibility, `j5` care at home and
    dropping out of a programme.
    """

    j1: float = 1.0
    j2: float = 1.0
    j3: float = 1.0
    j4: float = 1.0
    j5: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Municipality:
    """What sets one municipality apart: `code` A, B or C, and shifts against Exempelstad."""

    code: str
    name: str
    residents: int
    deprivation_shift: float = 0.0
    """Added to every district's deprivation D."""
    eligibility_shift: float = 0.0
    """Added to the log-odds of being eligible for upper secondary school."""
    has_sheltered_work: bool = True
    """Whether the labour-market department offers OSA."""


MUNICIPALITIES: Final = MappingProxyType(
    {
        "A": Municipality(code="A", name="Exempelstad", residents=150_000),
        "B": Municipality(
            code="B",
            name="Provköping",
            residents=60_000,
            deprivation_shift=0.5,
            eligibility_shift=-0.20,
        ),
        "C": Municipality(
            code="C",
            name="Testby",
            residents=9_000,
            deprivation_shift=-0.4,
            has_sheltered_work=False,
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One city, or one block of a larger one: equal settings give equal cities.

    `residents` is the expected number; `block` numbers the independent blocks of a city that is
    made piece by piece.
    """

    seed: int
    residents: int
    municipality: Municipality = field(default=MUNICIPALITIES["A"])
    effects: Effects = field(default=Effects())
    block: int = 0

    def generator(self, name: str, *, table: str = "") -> np.random.Generator:
        """Give the generator of one table; drawing from it moves no other table.

        Every call starts the stream of `name` anew, so one name belongs to one module. A stream
        that serves many tables has a part for each: name the `table`.
        """
        code = self.municipality.code
        stream = name if code == "A" else f"{code}:{name}"
        words = [self.seed, zlib.crc32(stream.encode())]
        if table:
            words.append(zlib.crc32(table.encode()))
        return np.random.default_rng([*words, self.block] if self.block else words)


def logistic(log_odds: npt.NDArray[np.floating]) -> Floats:
    """Give the probability 1 / (1 + exp(-x)) of log-odds x."""
    return np.asarray(special.expit(log_odds), dtype=np.float64)
