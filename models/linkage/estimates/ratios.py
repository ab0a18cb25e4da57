"""Shares and means of noisy counts, with intervals that also hold when the counts are few.

A share p = k / n of noisy counts k and r = n - k makes (1-p) k - p r zero on average. Its variance
at p is n p (1-p) for the residents (Wilson 1927) and (1-p)²·var(k) + p²·var(r) for the noise, so
the p with |(1-p) k - p r| within 1.96 standard deviations are an interval (Fieller 1954): the roots
of a quadratic. Where it has no largest root, the counts are no larger than their noise. Differences
combine such intervals (MOVER; Newcombe 1998, Zou and Donner 2008).
"""

import math
from dataclasses import dataclass

import numpy as np

from models.linkage.estimates.figures import NORMAL
from models.linkage.tables import Counts
from models.quantities import NoiseVariance

_SQUARE = NORMAL**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A share or mean with its 95 % interval.

    Attributes:
        value, low, high: the estimate and its interval.
        alone: the half-width for noise alone.
    """

    value: float
    low: float
    high: float
    alone: float

    @property
    def interval(self) -> tuple[float, float, float]:
        """Give value, low and high."""
        return (self.value, self.low, self.high)

    def minus(self, other: "Ratio") -> "Ratio":
        """Give the difference to another, of other residents."""
        value = self.value - other.value
        down = math.hypot(self.value - self.low, other.high - other.value)
        up = math.hypot(self.high - self.value, other.value - other.low)
        alone = math.hypot(self.alone, other.alone)
        return Ratio(value=value, low=value - down, high=value + up, alone=alone)


def share(
    part: float, rest: float, *, part_noise: NoiseVariance, rest_noise: NoiseVariance
) -> Ratio | None:
    """Give part / (part + rest); None: there are no more residents than noise alone would show.

    Args:
        part: a noisy count.
        rest: the noisy count of all others.
        part_noise: the variance of the noise in `part`.
        rest_noise: that in `rest`; the two are independent.
    """
    whole, a, b = part + rest, part_noise.value, rest_noise.value
    leading = whole**2 + _SQUARE * (whole - a - b)
    if whole <= 0 or whole**2 <= _SQUARE * (a + b):
        return None
    value = min(max(part / whole, 0.0), 1.0)
    alone = NORMAL * math.sqrt(a * (1 - value) ** 2 + b * value**2) / whole
    low, high = _between(
        leading,
        -2 * whole * part - _SQUARE * (whole - 2 * a),
        part**2 - _SQUARE * a,
        otherwise=(value - alone, value + alone),
    )
    return Ratio(
        value=value,
        low=min(max(low, 0.0), value),
        high=max(min(high, 1.0), value),
        alone=alone,
    )


def mean(counts: Counts, values: Counts, *, variances: Counts) -> Ratio | None:
    """Give the mean of values, each with a noisy count; None: as for `share`.

    Args:
        counts: of residents, shape (levels,).
        values: of each level, shape (levels,).
        variances: of the noise in each count, shape (levels,).
    """
    whole, total = float(counts.sum()), float(counts @ values)
    noise = [float((variances * values**power).sum()) for power in range(3)]
    leading = whole**2 - _SQUARE * noise[0]
    if whole <= 0 or leading <= 0:
        return None
    value = min(max(total / whole, float(values.min())), float(values.max()))
    sampling = max(float(counts @ (values - value) ** 2), 0.0)
    left = max(noise[2] - 2 * value * noise[1] + value**2 * noise[0], 0.0)
    alone = NORMAL * math.sqrt(left) / whole
    low, high = _between(
        leading,
        -2 * (whole * total - _SQUARE * noise[1]),
        total**2 - _SQUARE * (sampling + noise[2]),
        otherwise=(value - alone, value + alone),
    )
    return Ratio(value=value, low=min(low, value), high=max(high, value), alone=alone)


def _between(
    leading: float, linear: float, constant: float, *, otherwise: tuple[float, float]
) -> tuple[float, float]:
    """Give the roots of a quadratic with a positive leading coefficient."""
    inside = linear**2 - 4 * leading * constant
    if inside < 0 or leading <= 0:
        return otherwise
    root = math.sqrt(inside)
    return float(np.divide(-linear - root, 2 * leading)), float(
        np.divide(-linear + root, 2 * leading)
    )
