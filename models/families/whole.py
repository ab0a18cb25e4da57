"""Numbers as integers times a unit, whose products a library may add up in any order.

A library's matrix product adds in an order that depends on how many rows there are
(`models.families.rows`). Of integers in float64 whose terms sum in magnitude to at most 2^53,
every partial sum is exact, so the order, and fused operations, do not matter.
"""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

EXACT = 53
"""float64 holds every integer up to 2^53."""

_SMALLEST = 2.0**-900
"""Numbers below count as zero: a unit far below them would not be a normal number."""


def whole(values: Doubles, *, bits: int, together: bool = False) -> tuple[Doubles, Doubles]:
    """Give integers of at most 2^bits in magnitude, and the unit of each row: (rows, 1).

    `together`: one unit for all rows, (1, 1). A row with a number that is not finite has zeros
    and a unit that is not finite. Elementwise and by maxima only: a row depends on itself alone.
    """
    axis = None if together else 1
    largest = np.abs(values).max(axis=axis, keepdims=True, initial=0.0)
    unit = np.ldexp(np.where(largest < _SMALLEST, 1.0, largest), -bits)
    with np.errstate(invalid="ignore"):  # not finite: zeros below
        integers = np.rint(values / unit)
    finite = np.isfinite(unit)
    if not finite.all():
        integers = np.where(finite, integers, 0.0)
    return integers, unit


def multiplied(values: Doubles, weight: Doubles) -> Doubles:
    """Give values · weightᵀ for values of shape (rows, inner) and weight of (outer, inner).

    Formal guarantee: a row of the result is a function of that row and of `weight`. Both are
    rounded to integers of b bits, 2b + log2(inner) at most 53: to 2^-20 of the largest of the
    row, and of the weights, up to 4,000 inputs.
    """
    bits = (EXACT - values.shape[1].bit_length()) // 2
    rows, units = whole(values, bits=bits)
    turned, unit = whole(weight, bits=bits, together=True)
    result: Doubles = (rows @ turned.T) * (units * unit)
    return result
