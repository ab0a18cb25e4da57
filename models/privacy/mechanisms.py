"""Sums over residents with noise: bounded, in integers, exactly as private as they say.

One resident's contribution is a vector. It is clipped to the L2 norm `bound`, expressed in units
of bound / 2^bits and truncated towards zero, so that integers are added; then every coordinate
gets discrete Gaussian noise. Nothing but the noisy integers leaves; scaling them back to
numbers is post-processing.

Formal guarantee (`BoundedSum`, `noisy_sum`, `noisy_count`): with `noise` given, the result costs
one `GaussianEvent(noise)` under add or remove of one resident, that is of one row of
`contributions`; over a Poisson sample of the residents it costs one step of a
`SampledGaussianEvent`. For neighbouring data the integer sums differ by one row's integers, of
L2 norm at most 2^bits: floating point may place a row wrongly inside that ball, but the norm of
its integers is checked exactly, and a row outside counts as zero. The noise is N_Z(0, s²) with
s = ceil(noise·2^bits) + 1, which is at least as private as the continuous Gaussian mechanism
with standard deviation noise·2^bits (`models.privacy.sampler`, domination).

Edge cases of a row of `contributions`:

| row                                | what is added                                             |
|------------------------------------|-----------------------------------------------------------|
| all zeros, or no coordinates       | zero                                                      |
| a NaN or an infinity anywhere      | zero: the whole row, and nobody is told                   |
| subnormal, or far below one unit   | zero, by truncation                                       |
| norm below the bound               | itself, less under one unit per coordinate                |
| norm exactly the bound             | the same                                                  |
| norm above the bound               | its direction at the bound, less under one unit           |
| norm beyond the floating range     | the same: norms are taken relative to the largest entry   |
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import AccountingError
from models.privacy import sampler
from models.quantities import ClipNorm, NoiseMultiplier
from models.randomness import Entropy

Floats = npt.NDArray[np.floating]
Sums = npt.NDArray[np.float64]

_MOST_BITS, _FEWEST_BITS = 24, 10

_INWARDS = 1 - 2.0**-30
"""Keeps the rounding of float64 (below 2^-30 up to 2^22 coordinates) inside the ball."""

_BLOCK = 1 << 20
"""Numbers handled together. Their integers are below 2^24, so float64 adds them exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The fixed point of one sum: 2^bits units per bound, noise of `scale` units.

    As fine as the sampler allows: `scale` at most 2^25, `bits` at most 24. With n residents
    truncation moves a sum by at most n units, n / scale of its noise.
    """

    bits: int
    scale: int

    @classmethod
    def of(cls, noise: NoiseMultiplier) -> "Grid":
        """Give the grid for a noise multiplier.

        Raises:
            AccountingError: the noise is above some 32,000, or below some 10^-6.
        """
        fraction, exponent = math.frexp(noise.value)
        bits = 25 - exponent - (fraction > 1 - 2.0**-25)
        bits = min(bits, _MOST_BITS)
        scale = math.ceil(math.ldexp(noise.value, bits)) + 1
        if bits < _FEWEST_BITS or scale <= 8:  # noqa: PLR2004 - as the proof needs
            raise AccountingError("the noise multiplier is outside the range of the integer grid")
        return cls(bits=bits, scale=scale)


class BoundedSum:
    """A sum that takes residents block by block and is released once.

    Each resident must be one row of one block. Without `noise` the sum is the plain one, for
    public data: nothing is clipped or truncated, only rows that are not finite count as zero.
    """

    def __init__(self, *, width: int, bound: ClipNorm, noise: NoiseMultiplier | None) -> None:
        """Start at zero, for contributions of `width` coordinates."""
        self._bound = bound
        self._grid = None if noise is None else Grid.of(noise)
        self._units = np.zeros(width, dtype=np.int64)
        self._plain = np.zeros(width, dtype=np.float64)
        self._released = False

    def add(self, contributions: Floats) -> None:
        """Add the rows of `contributions` (residents, width).

        Raises:
            AccountingError: the shape is another one.
        """
        if contributions.ndim != 2 or contributions.shape[1] != self._units.size:  # noqa: PLR2004
            raise AccountingError("contributions must have one row per resident and one width")
        rows = max(1, _BLOCK // max(1, self._units.size))
        for start in range(0, len(contributions), rows):
            block = contributions[start : start + rows]
            if self._grid is None:
                self._plain += _finite(block).sum(axis=0)
            else:
                inside = to_units(block, bound=self._bound, bits=self._grid.bits)
                self._units += inside.sum(axis=0).astype(np.int64)

    def release(self, entropy: Entropy) -> Sums:
        """Give the sum with its noise.

        Raises:
            AccountingError: it was released before; a second time would cost a second event.
        """
        if self._released:
            raise AccountingError("a sum may be released once")
        self._released = True
        if self._grid is None:
            return self._plain
        return _noised(self._units, grid=self._grid, bound=self._bound, entropy=entropy)


def noisy_sum(
    contributions: Floats, *, bound: ClipNorm, noise: NoiseMultiplier | None, entropy: Entropy
) -> Sums:
    """Give the noisy sum over the rows of `contributions` (residents, width).

    No rows: noise only. `noise` None is for public data (`BoundedSum`).
    """
    total = BoundedSum(width=contributions.shape[-1], bound=bound, noise=noise)
    total.add(contributions)
    return total.release(entropy)


def noisy_count(residents: int, *, noise: NoiseMultiplier | None, entropy: Entropy) -> float:
    """Give the noisy number of residents; it may be negative, and has a fraction.

    The same as `noisy_sum` with bound 1 over a column of ones, which need not be built.
    """
    if noise is None:
        return float(residents)
    grid = Grid.of(noise)
    units = np.array([residents << grid.bits], dtype=np.int64)
    return float(_noised(units, grid=grid, bound=ClipNorm(1.0), entropy=entropy)[0])


def to_units(contributions: Floats, *, bound: ClipNorm, bits: int) -> Sums:
    """Give each row's integers (as float64, which holds them exactly), norm at most 2^bits."""
    rows = _finite(contributions)
    largest = np.abs(rows).max(axis=1, initial=0.0)
    direction = rows / np.where(largest > 0, largest, 1.0)[:, None]
    length = np.sqrt(np.einsum("ij,ij->i", direction, direction))  # at least 1, or the row is 0
    with np.errstate(over="ignore"):  # an infinite ratio is clipped
        size = np.minimum(largest / bound.value, 1 / np.maximum(length, 1.0))
    direction *= (math.ldexp(_INWARDS, bits) * size)[:, None]
    units = np.trunc(direction, out=direction)
    units[np.einsum("ij,ij->i", units, units) > 4.0**bits] = 0.0  # exact: squares below 2^53
    return units


def _finite(contributions: Floats) -> Sums:
    rows = np.array(contributions, dtype=np.float64)
    rows[~np.isfinite(rows).all(axis=1)] = 0.0
    return rows


def _noised(units: sampler.Integers, *, grid: Grid, bound: ClipNorm, entropy: Entropy) -> Sums:
    noise = sampler.discrete_gaussian(scale=grid.scale, size=units.size, entropy=entropy)
    total: Sums = (units + noise).astype(np.float64) * math.ldexp(bound.value, -grid.bits)
    return total
