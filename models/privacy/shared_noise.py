"""Noise that a cohort shares in a secure sum, and how far one resident can move such a sum.

Every node adds integers and a share N_Z(0, s²) of its own; only the sum is seen. `carriers` of
the shares are sure to be unknown to whoever looks (`models.secagg.roster.Roster.carriers`); of two
nodes only one is, so each adds all of the noise.

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

A resident in several departments. In the full batch all m contribute: one Gaussian event of noise
`noise / m` (joint noise costs m times the parameter μ, not √m times). With independent Poisson
samples at the nodes the number of contributions is Binomial(m, q): `MixtureGaussianEvent`. The
vectors may differ and point anywhere; the loss is largest when they are parallel and of full
length (Ganesh 2024, "Tight group-level DP guarantees for DP-SGD with sampling via mixture of
Gaussians mechanisms"), which is the scalar mixture that `dp_accounting` composes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from dp_accounting.pld import privacy_loss_distribution as pld
from scipy import stats

from models.errors import AccountingError
from models.governance.cost import Count, Event, GaussianEvent, PrivacyCost, SampledGaussianEvent
from models.privacy import accounting
from models.privacy.sampler import LARGEST_SCALE
from models.quantities import Delta, NoiseMultiplier, Quantity, SamplingRate
from models.schema import STRICT

MOST_BITS, FEWEST_BITS = 20, 10
"""Units per clip are powers of two in between; below 2^18 only where the noise is so large that
its share would leave the sampler's range."""

_SMALLEST_SCALE = 8
_WIDENING = 16
"""The variance that the proof of domination gives away."""

_INWARDS = 1 - 2.0**-40
"""Covers the floating-point error of a few operations, many times over."""

_FINEST, _COARSEST = -18, -6
"""Powers of two between which the discretisation of mixtures lies: some 0.2 % of ε."""


@dataclass(frozen=True, slots=True, order=True)
class LogGap(Quantity):
    """The most by which a log-likelihood may differ from that of the mechanism accounted for."""

    closed: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureGaussianEvent:
    """`count` sums with joint noise over residents who are in up to `departments` departments.

    Each department draws a Poisson sample of its own at rate `sampling`; `noise` is relative to
    what one department can add for a resident.
    """

    __pydantic_config__ = STRICT

    kind: Literal["mixture-gaussian"] = "mixture-gaussian"
    sampling: SamplingRate
    noise: NoiseMultiplier
    departments: int
    count: Count


SharedEvent: TypeAlias = Event | MixtureGaussianEvent


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


def event(
    noise: NoiseMultiplier, *, sampling: SamplingRate, departments: int, count: int
) -> SharedEvent:
    """Give the event of `count` sums for a resident in up to `departments` departments.

    `noise` as `SharedNoise.noise`: relative to one department.
    """
    if sampling.value < 1 and departments > 1:
        return MixtureGaussianEvent(
            sampling=sampling, noise=noise, departments=departments, count=count
        )
    jointly = NoiseMultiplier(noise.value / departments * _INWARDS) if departments > 1 else noise
    return SampledGaussianEvent(sampling=sampling, noise=jointly, count=count)


def epsilon(events: Sequence[SharedEvent], *, delta: Delta, gap: LogGap) -> float:
    """Give the ε that all the events together cost a resident, under add or remove, rounded up.

    Privacy loss distributions as in `models.privacy.accounting`; `gap` is charged as step 2 of
    the module says. The events count every department already: there is no further factor.

    Raises:
        AccountingError: an event is of an unknown class, or δ is smaller than what is resolved.
    """
    lowered = Delta(delta.value * math.exp(-gap.value) * _INWARDS)
    mixtures = [item for item in events if isinstance(item, MixtureGaussianEvent)]
    plain = tuple(item for item in events if not isinstance(item, MixtureGaussianEvent))
    if not mixtures:
        found = accounting.epsilon(PrivacyCost(events=plain), delta=lowered)
    else:
        found = accounting.read_off(_composed(mixtures, plain), delta=lowered)
    return math.nextafter(found + 2 * gap.value, math.inf)


def _composed(
    mixtures: Sequence[MixtureGaussianEvent], plain: Sequence[Event]
) -> pld.PrivacyLossDistribution:
    precision = math.fsum(_precision(item) for item in plain)
    interval = _interval(mixtures, precision)
    total = pld.identity(value_discretization_interval=interval)
    if precision:
        total = total.compose(
            pld.from_gaussian_mechanism(
                1 / math.sqrt(precision), value_discretization_interval=interval
            )
        )
    for item in mixtures:
        part = pld.from_mixture_gaussian_mechanism(
            item.noise.value,
            sensitivities=[float(k) for k in range(item.departments + 1)],
            sampling_probs=_chances(item),
            value_discretization_interval=interval,
        )
        total = total.compose(part.self_compose(item.count))
    return total


def _precision(item: Event) -> float:
    match item:
        case GaussianEvent(noise=noise):
            return 1 / noise.value**2
        case SampledGaussianEvent(sampling=SamplingRate(1.0), noise=noise, count=count):
            return count / noise.value**2
        case _:
            raise AccountingError(
                f"the privacy event {type(item).__name__} does not go with sums over departments"
            )


def _chances(item: MixtureGaussianEvent) -> list[float]:
    """Give the probability of 0, 1, ... contributions of one resident to a step."""
    times = range(item.departments + 1)
    found: list[float] = stats.binom.pmf(times, item.departments, item.sampling.value).tolist()
    return [chance / math.fsum(found) for chance in found]


def _interval(mixtures: Sequence[MixtureGaussianEvent], precision: float) -> float:
    """Give the discretisation: about 1/8 of one part's root mean square loss; any is sound."""
    variance, parts, longest = precision, 1 if precision else 0, 0.0
    for item in mixtures:
        chances, scale = _chances(item), item.noise.value
        variance += item.count * math.fsum(
            p * q * math.expm1(min(k * l / scale**2, 50.0))
            for k, p in enumerate(chances)
            for l, q in enumerate(chances)  # noqa: E741 - k and l as in the sum above
        )
        parts += item.count
        tail = math.fsum(p * math.exp(min(9 * k / scale, 500.0)) for k, p in enumerate(chances))
        longest = max(longest, math.log(tail))
    wanted = max(math.sqrt(variance / parts) / 8, longest / 2**12)
    return math.ldexp(1.0, min(max(math.floor(math.log2(wanted)), _FINEST), _COARSEST))
