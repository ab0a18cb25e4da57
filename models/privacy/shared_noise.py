"""Noise that a cohort shares in a secure sum, and how far one resident can move such a sum.

Every node adds integers and a share N_Z(0, s²) of its own; only the sum is seen. `carriers` of
the shares are sure to be unknown to whoever looks (`Roster.carriers`, `models.governance.roster`);
of two nodes only one is, so each adds all of the noise.

Formal guarantee (`SharedNoise`): for a resident in up to m departments, of which each adds for it
an integer vector of L2 norm at most 2^bits units *before* it rounds its own sum once
(`models.privacy.bounded_cells`), the sum costs what the continuous Gaussian mechanism costs whose
standard deviation is `noise` times the effect `reach` of one department on a resident, up to the
factor `log_gap` in the likelihoods. Proof, in three steps.

1. Rounding. A node holds an exact integer g per coordinate, in grains of 2^-f units, and sends
   R(g) = floor((g + 2^(f-1)) / 2^f). A resident moves g by an integer h. If h = 0, R does not
   move; otherwise |R(g + h) - R(g)| < |h|/2^f + 1, because floor(a + b) - floor(a) lies in
   (b - 1, b + 1). With ‖h‖₂ <= 2^f·2^bits and d coordinates, Minkowski's inequality bounds the
   move of the rounded sum by 2^bits + √d, and `reach` is that, √d rounded up. m departments
   together move the sum of their sums by at most m·reach, when all of them pull the same way.
   Cutting a node's coordinates to a bound (`SumPlan.cut`) moves no two sums further apart.

2. Sums of shares. The sum of k shares is N_Z(0, k·s²) up to a factor e^±τ in every point,
   τ <= 10·Σ_{i=1}^{k-1} exp(-2π²s²·i/(i+1)) (Kairouz, Liu, Steinke 2021; s >= 1/2).
   In short: completing the square, the convolution of N_Z(0, a²) and N_Z(0, b²) at x is
   exp(-x²/2(a²+b²)) times Σ_y exp(-(y - c)²/2r²), r² = a²b²/(a²+b²), whose dependence on the shift
   c is by Poisson summation a factor within 1 ± 2.1·exp(-2π²r²); with a² = i·s² and b² = s²,
   r² = s²·i/(i+1). A transcript of `sums` vectors of `length` coordinates has the likelihood of the
   ideal one up to e^±g with g = sums·length·τ, adaptively and under sampling too, since the factor
   holds pointwise and so for mixtures. If the ideal is (ε, δ)-private, P(E) <= e^g(e^ε·Q(E) + δ)
   and Q(E) <= e^g·Q'(E): the real one is (ε + 2g, e^g·δ)-private. `epsilon` charges exactly that.
   At s >= 8, g is below 10^-250 for any run there will be. Shares beyond `carriers`, and the
   2^-360 by which the sampler's law differs from N_Z, change nothing more.

3. Domination. N_Z(0, k·s²) is the continuous Gaussian mechanism with variance k·s² - 16 followed
   by post-processing (`models.privacy.sampler`, domination). `noise` is its standard deviation over
   `reach`, rounded down.

What `sums` of them cost a resident in several departments is a
`models.governance.cost.JointGaussianEvent`; `models.privacy.accounting` says why.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from models.errors import AccountingError
from models.governance.cost import PrivacyCost
from models.privacy import accounting
from models.privacy.sampler import LARGEST_SCALE
from models.quantities import Delta, NoiseMultiplier, Quantity
from models.schema import STRICT

MOST_BITS, FEWEST_BITS = 20, 10
"""Units per clip are powers of two in between; below 2^18 only where the noise is so large that
its share would leave the sampler's range."""

_SMALLEST_SCALE = 8
_WIDENING = 16
"""The variance that the proof of domination gives away."""

_INWARDS = 1 - 2.0**-40
"""Covers the floating-point error of a few operations, many times over."""


@dataclass(frozen=True, slots=True, order=True)
class LogGap(Quantity):
    """The most by which a log-likelihood may differ from that of the mechanism accounted for."""

    closed: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedNoise:
    """The integers of one secure sum: its unit, its length, each node's share of the noise.

    Attributes:
        bits: 2^bits units stand for the clip.
        length: coordinates.
        carriers: how many shares surely protect the sum.
        scale: standard deviation of each node's share, in units.
    """

    __pydantic_config__ = STRICT

    bits: int
    length: int
    carriers: int
    scale: int

    def __post_init__(self) -> None:
        """Refuse what the proofs do not cover."""
        if not FEWEST_BITS <= self.bits <= MOST_BITS or self.length < 1 or self.carriers < 1:
            raise AccountingError("a shared noise has a unit, a length and carriers in bounds")
        if not _SMALLEST_SCALE <= self.scale <= LARGEST_SCALE:
            raise AccountingError("a share of the noise is outside the range of the exact sampler")

    @classmethod
    def of(cls, noise: NoiseMultiplier, *, length: int, carriers: int) -> "SharedNoise":
        """Give the finest unit, and the least share, with which `noise` surely remains.

        `noise` is relative to what one department can add for a resident.

        Raises:
            AccountingError: no unit takes so much or so little noise.
        """
        for bits in range(MOST_BITS, FEWEST_BITS - 1, -1):
            scale = _share(noise, reach=_reach(bits, length), carriers=carriers)
            if _SMALLEST_SCALE <= scale <= LARGEST_SCALE:
                return cls(bits=bits, length=length, carriers=carriers, scale=scale)
        raise AccountingError("the noise is outside the range of the shared integers")

    @property
    def reach(self) -> int:
        """Give how far, in units, one department can move the sum for one resident (L2)."""
        return _reach(self.bits, self.length)

    @property
    def noise(self) -> NoiseMultiplier:
        """Give the standard deviation that surely remains, divided by `reach`; rounded down."""
        variance = self.carriers * self.scale**2 - _WIDENING
        return NoiseMultiplier(math.sqrt(variance) / self.reach * _INWARDS)

    def log_gap(self, sums: int) -> LogGap:
        """Give how far the sums of shares are from one discrete Gaussian (step 2), over `sums`."""
        each = math.fsum(
            math.exp(-2 * math.pi**2 * self.scale**2 * i / (i + 1)) for i in range(1, self.carriers)
        )
        return LogGap(10 * each * self.length * sums)


def _reach(bits: int, length: int) -> int:
    return (1 << bits) + math.isqrt(length - 1) + 1


def _share(noise: NoiseMultiplier, *, reach: int, carriers: int) -> int:
    """Give the least s with sqrt(carriers·s² - 16) / reach at least `noise`, or one more."""
    wanted = ((noise.value * reach / _INWARDS) ** 2 + _WIDENING) / carriers
    return math.ceil(math.sqrt(wanted) / _INWARDS)


def epsilon(cost: PrivacyCost, *, delta: Delta, gap: LogGap) -> float:
    """Give the ε of a cost with the difference `gap` to the mechanisms accounted for, rounded up.

    As step 2 of the module says. Where every scale is that of a `SharedNoise`, the gap is far
    below what `accounting.epsilon` rounds up by, and may be left out.

    Raises:
        AccountingError: see `accounting.epsilon`.
    """
    lowered = Delta(delta.value * math.exp(-gap.value) * _INWARDS)
    return math.nextafter(accounting.epsilon(cost, delta=lowered) + 2 * gap.value, math.inf)
