"""Intervals by simulation: what sampling and privacy noise together can do to a figure.

The histogram that came back is made plausible (no negative weights), new residents are drawn
from it, and new noise is added, many times over, with a public generator. The figure itself is
always computed from the raw noisy histogram, in which the noise has mean zero.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.quantities import NoiseVariance
from models.randomness import public_generator
from models.schema import STRICT

Doubles = npt.NDArray[np.float64]
Figure = Callable[[Doubles], Doubles]
"""Maps histograms of shape (..., 2, bins) to numbers of shape (...)."""

DRAWS = 1000
_CLEAR = 4.0  # a count stands out of the noise at four standard deviations
_NORMAL = 1.959963984540054  # the 97.5 % point of the normal distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its 95 % interval: what sampling and privacy noise leave open."""

    __pydantic_config__ = STRICT

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse an interval that does not hold its figure."""
        if not self.low <= self.value <= self.high:
            raise ValueError("an estimate must lie in its interval")


def project(cells: Doubles) -> Doubles:
    """Give the nearest (least squares) non-negative cells with the same total, at least 0."""
    total = max(float(cells.sum()), 0.0)
    falling = np.sort(cells, axis=None)[::-1]
    surplus = (np.cumsum(falling) - total) / np.arange(1, falling.size + 1)
    threshold = surplus[np.flatnonzero(falling >= surplus)[-1]]
    result: Doubles = np.maximum(cells - threshold, 0.0)
    return result


def ratio(part: Doubles, whole: Doubles) -> Doubles:
    """Give part / whole, and 0 where there is nothing to be a part of.

    A repetition in which a figure is undefined then counts as one that is far off.
    """
    result: Doubles = np.divide(part, whole, out=np.zeros(np.shape(part)), where=whole > 0)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulator:
    """Draws repetitions of histograms whose cells carry noise of this variance.

    A resident with several rows spreads a weight of 1 over cells; drawing whole residents into
    single cells overstates the sampling error then, never understates it. The seed is public.
    """

    noise_variance: NoiseVariance
    seed: bytes

    def clear(self, cells: Doubles) -> bool:
        """Tell whether the cells hold more residents than noise alone would show."""
        alone = math.sqrt(cells.size * self.noise_variance.value)
        return float(cells.sum()) >= max(1.0, _CLEAR * alone)

    def draws(self, group: Doubles) -> Doubles:
        """Give `DRAWS` plausible repetitions of one group of a histogram: (DRAWS, 2, bins).

        Each outcome gets two residents more, spread evenly, so that a small sample in which
        nobody was misjudged does not look certain (Agresti and Coull 1998).
        """
        generator = public_generator(self.seed)
        plausible = project(group)
        residents = max(1, round(float(plausible.sum())))
        smooth = plausible + 2.0 / plausible.shape[1]
        drawn = generator.multinomial(residents, (smooth / smooth.sum()).ravel(), size=DRAWS)
        noise = generator.normal(0.0, math.sqrt(self.noise_variance.value), size=drawn.shape)
        return (drawn + noise).reshape(DRAWS, *group.shape)

    def share(self, figure: Figure, group: Doubles, *, draws: Doubles | None = None) -> Estimate:
        """Give a figure in [0, 1] of one group, with its interval; `draws` if made before."""
        value = float(figure(group))
        repetitions = figure(self.draws(group) if draws is None else draws)
        reach = _NORMAL * float(repetitions.std())
        value, low, high = np.clip([value, value - reach, value + reach], 0.0, 1.0).tolist()
        return Estimate(value=value, low=low, high=high)

    def count(self, cells: Doubles) -> Estimate:
        """Give how many residents the cells hold, with the interval that the noise leaves."""
        value = float(cells.sum())
        reach = _NORMAL * math.sqrt(cells.size * self.noise_variance.value)
        value, low, high = np.maximum([value, value - reach, value + reach], 0.0).tolist()
        return Estimate(value=value, low=low, high=high)

    def total_size(self, gaps: Doubles, spread: Doubles) -> Estimate:
        """Give the sum of the absolute values of gaps known with normal errors `spread`.

        The plain sum is biased upwards: errors never cancel in it. So the test is inverted
        instead. True gaps of a given total size, shaped like the observed ones (each at least
        its error, so that none is taken for exactly 0), would make a certain distribution of
        observed sums; the interval holds the sizes under which the observed sum is not extreme,
        the figure is the size under which it is the median.
        """
        observed = float(np.abs(gaps).sum())
        profile = np.copysign(np.maximum(np.abs(gaps), spread), gaps)
        scale = float(np.abs(profile).sum())
        if scale == 0.0:
            return Estimate(value=0.0, low=0.0, high=0.0)
        errors = spread * public_generator(self.seed).normal(size=(DRAWS, gaps.size))
        most = observed + 4.0 * float(spread.sum())

        def size(level: float) -> float:
            """Give the size under which that share of the sums is below the observed one."""
            low, high = 0.0, most
            for _ in range(12):  # the larger the true gaps, the larger the sums
                middle = (low + high) / 2
                sums = np.abs(middle / scale * profile + errors).sum(axis=1)
                low, high = (middle, high) if (sums < observed).mean() > level else (low, middle)
            return low

        low, value, high = (size(level) for level in (0.975, 0.5, 0.025))
        return Estimate(value=value, low=low, high=high)
