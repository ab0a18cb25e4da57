"""Sums of sparse contributions, one per resident, clipped and exact in integers.

A contribution is given by its cells: numbers with an owner (the resident) and a coordinate; a
resident has at most one cell per coordinate, and all other coordinates are zero. It is clipped to
the L2 norm `bound`, written in grains (2^-12 of a unit) and truncated towards zero. Grains are
added exactly, and each node rounds its sum to units once, so that many small numbers are not lost.

Formal guarantee (`bounded_grains`): adding or removing a resident moves the exact sum of grains by
an integer vector of L2 norm at most 2^(bits + 12), and nothing else: what the others add is a
function of their own cells, to the last bit. How far the rounded units move then:
`models.privacy.shared_noise`, step 1.

Proof. numpy's `bincount` adds cell by cell in the order given, so that a resident's norm is made
of that resident's cells alone. Truncated grains are integers below 2^32 in magnitude. Their sum of
squares, in float64, is short of the true one by a factor of at most 1 - 2^-31 (2^21 terms, each
product and sum rounded once); who is not provably inside the ball by that measure counts as zero,
as does who has a NaN or an infinity. Sums of grains over at most 2^21 residents stay below 2^53,
where float64 adds integers exactly in whatever order; blocks are added as 64-bit integers.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import AccountingError
from models.privacy.sampler import Integers
from models.quantities import ClipNorm

Doubles = npt.NDArray[np.float64]

GRAIN_BITS = 12
_MOST = 1 << 21
"""Residents, and coordinates, of one call."""

_INWARDS = 1 - 2.0**-28
_SURELY_INSIDE = 1 - 2.0**-30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cells:
    """Whose number it is, and where: one entry per cell.

    Attributes:
        owners: the resident, counted from 0; in rising order.
        coordinates: where in the sum; rising within a resident, none twice.
        residents, length: how many of either there are.
    """

    owners: Integers
    coordinates: Integers
    residents: int
    length: int

    def __post_init__(self) -> None:
        """Refuse cells out of order: a resident could then count as two."""
        keys = self.owners * self.length + self.coordinates
        inside = (self.coordinates >= 0).all() and (self.coordinates < self.length).all()
        if not inside or (keys.size and (keys[0] < 0 or self.owners[-1] >= self.residents)):
            raise AccountingError("a cell lies outside the sum")
        if (np.diff(keys) <= 0).any():
            raise AccountingError("cells must be in the order of owner and coordinate, each once")
        if not 0 <= self.residents <= _MOST or not 1 <= self.length <= _MOST:
            raise AccountingError("more residents or coordinates than one sum takes")


def bounded_grains(values: Doubles, cells: Cells, *, bound: ClipNorm, bits: int) -> Integers:
    """Give the exact sum, in grains, of the contributions clipped to `bound`.

    `values`: one number per cell. Who has a number that is not finite adds zero.

    Raises:
        AccountingError: there are more or fewer values than cells.
    """
    if values.shape != cells.owners.shape:
        raise AccountingError("there must be one number per cell")
    owners, most = cells.owners, math.ldexp(1.0, bits + GRAIN_BITS)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        norms = np.sqrt(np.bincount(owners, values * values, minlength=cells.residents))
        factors = np.minimum(1 / bound.value, 1 / norms) * (most * _INWARDS)
        grains = np.trunc(values * factors[owners])
        squares = np.bincount(owners, grains * grains, minlength=cells.residents)
        inside = squares <= most * most * _SURELY_INSIDE  # false for a NaN
    grains[~inside[owners]] = 0.0
    sums: Integers = np.bincount(cells.coordinates, grains, minlength=cells.length).astype(np.int64)
    return sums


def to_units(grains: Integers) -> Integers:
    """Give a node's sum of grains in units, each coordinate rounded once (a half upwards)."""
    half = np.int64(1 << (GRAIN_BITS - 1))
    result: Integers = (grains + half) >> np.int64(GRAIN_BITS)
    return result
