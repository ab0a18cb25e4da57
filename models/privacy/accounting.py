"""From recorded events to the ε of one resident: in doubt refuse, and round against ourselves.

Neighbouring relation: two data sets are neighbours when one has a resident more than the other,
with all rows of that resident (add or remove one resident). Every ε of Datalabbet is under it.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from dp_accounting.pld import privacy_loss_distribution as pld
from scipy import stats

from models.errors import AccountingError, BudgetExhaustedError
from models.governance.cost import (
    Event,
    GaussianEvent,
    JointGaussianEvent,
    NonPrivateEvent,
    PrivacyCost,
    SampledGaussianEvent,
)
from models.privacy.counts import counts as counts  # noqa: PLC0414 - part of this module's face
from models.privacy.counts import merged as merged  # noqa: PLC0414
from models.quantities import Delta, Epsilon, NoiseMultiplier, SamplingRate

_UPWARDS = 1 + 1e-9
"""Covers the floating-point error of the transforms inside the accountant, many times over."""

_SMALLEST_DELTA = 1e-10
"""The accountant cuts tails of 1e-15 per composition: far below this, and only just so."""

_FINEST, _COARSEST = -18, -7
"""Powers of two between which the discretisation of the privacy loss lies."""

_Mixture = tuple[SamplingRate, NoiseMultiplier, int]
"""Rate, noise and departments of a sum whose contributions are Binomial in number."""


@dataclass(slots=True)
class _Tally:
    """Events by kind: all that composition needs, whatever the order they came in."""

    precision: float = 0.0  # Σ 1/noise² over the sums that every resident is in
    sampled: Counter[tuple[SamplingRate, NoiseMultiplier]] = field(default_factory=Counter)
    mixtures: Counter[_Mixture] = field(default_factory=Counter)
    private: bool = True

    def add(self, event: Event, copies: int) -> None:
        match event:
            case GaussianEvent(noise=noise):
                self.precision += copies / noise.value**2
            case SampledGaussianEvent(sampling=SamplingRate(1.0), noise=noise, count=count):
                self.precision += copies * count / noise.value**2
            case SampledGaussianEvent(sampling=rate, noise=noise, count=count):
                self.sampled[rate, noise] += copies * count
            case JointGaussianEvent():
                self._add_joint(event, copies)
            case NonPrivateEvent():
                self.private = False
            case _:
                raise AccountingError(
                    f"the privacy event {type(event).__name__} is not known here",
                    hint="bring this installation to the version that recorded the event",
                )

    def _add_joint(self, event: JointGaussianEvent, copies: int) -> None:
        rate, noise, departments = event.sampling, event.noise, event.departments
        if departments < copies:
            raise AccountingError("a joint sum counts fewer departments than the resident is in")
        if rate.value == 1:
            self.precision += event.count * (departments / noise.value) ** 2
        elif departments == 1:
            self.sampled[rate, noise] += event.count
        else:
            self.mixtures[rate, noise, departments] += event.count


def epsilon(cost: PrivacyCost, *, delta: Delta, copies: int = 1) -> float:
    """Give the ε that `cost` adds up to at `delta` for a resident whom `copies` departments charge.

    Formal guarantee: an upper bound. Whoever sees everything that the events released, each
    chosen in the light of those before, gains at most (ε, δ) about one resident, under add or
    remove of all of the resident's rows, when each mechanism was one of
    `models.privacy.mechanisms` with that noise. `copies` is the number of departments that can
    each hold the resident and pay `cost`. Events of their own noise compose over them, never in
    parallel; joint events are taken once. Proof: all that is seen is one sequence of mechanisms,
    each chosen in the light of those before: `copies` local ones for each local event, and one
    joint one for each joint event, which all departments answer with one sum. A joint sum costs
    a resident in m = `departments` departments (m >= `copies`, or it is refused) as follows, and
    one in fewer no more. In a full batch the m vectors move the sum by at most m times what one
    can: a Gaussian of noise `noise`/m (m times the parameter μ, not √m times). Under independent
    Poisson samples Binomial(m, q) of them are in it; the vectors may differ and point anywhere,
    and the loss is largest when they are parallel and of full length (Ganesh 2024, "Tight
    group-level DP guarantees for DP-SGD with sampling via mixture of Gaussians mechanisms"):
    the scalar mixture. Method: privacy loss distributions, discretised pessimistically by the
    connect-the-dots bound (Doroshenko, Ghazi, Kamath, Kumar, Manurangsi 2022; `dp-accounting`);
    sums that every resident is in compose exactly to one Gaussian with noise (Σ 1/noise²)^(-1/2);
    the result is rounded up. Why discrete noise may be counted as Gaussian:
    `models.privacy.sampler`; shares of it: `models.privacy.shared_noise`.

    Gives infinity if one of the events was not private.

    Raises:
        AccountingError: an event is of an unknown class or joint for fewer departments than
            `copies`, `copies` is below 1, or `delta` is smaller than what the accountant
            resolves (1e-10).
    """
    if copies < 1:
        raise AccountingError("a privacy cost is paid at least once")
    if delta.value < _SMALLEST_DELTA:
        raise AccountingError(
            f"δ = {delta.value:g} is smaller than what can be accounted for",
            hint=f"choose δ of at least {_SMALLEST_DELTA:g}",
        )
    tally = _tally(cost.events, copies)
    if not tally.private:
        return math.inf
    return read_off(_distribution(tally), delta=delta)


def distribution(cost: PrivacyCost) -> pld.PrivacyLossDistribution:
    """Give the privacy loss distribution of a cost, from above: see `epsilon`.

    Raises:
        AccountingError: an event is of an unknown class, or is not private: it has none.
    """
    tally = _tally(cost.events, 1)
    if not tally.private:
        raise AccountingError("a release without noise has no privacy loss distribution")
    return _distribution(tally)


def read_off(distribution: pld.PrivacyLossDistribution, *, delta: Delta) -> float:
    """Give the ε of a distribution at `delta`, rounded up.

    Raises:
        AccountingError: it could not be computed.
    """
    found: float = distribution.get_epsilon_for_delta(delta.value)
    if math.isnan(found):
        raise AccountingError("the privacy cost could not be computed")
    return math.nextafter(max(found, 0.0) * _UPWARDS, math.inf)


def check(cost: PrivacyCost, *, limit: Epsilon, delta: Delta, copies: int = 1) -> float:
    """Give the ε of `cost` if it is within the limit.

    Raises:
        BudgetExhaustedError: it is not.
        AccountingError: see `epsilon`.
    """
    found = epsilon(cost, delta=delta, copies=copies)
    if found > limit.value:
        raise BudgetExhaustedError(
            f"the step would bring ε to {found:.4g}, above the {limit.value:g} of the study"
        )
    return found


def _tally(events: Iterable[Event], copies: int) -> _Tally:
    tally = _Tally()
    for event in events:
        tally.add(event, copies)
    return tally


def _distribution(tally: _Tally) -> pld.PrivacyLossDistribution:
    """Compose the tally; the discretisation is fine beside the spread of one step's loss."""
    interval = _interval(tally)
    total = pld.identity(value_discretization_interval=interval)
    if tally.precision:
        part = pld.from_gaussian_mechanism(
            1 / math.sqrt(tally.precision), value_discretization_interval=interval
        )
        total = total.compose(part)
    for (rate, noise), count in sorted(tally.sampled.items()):
        part = pld.from_gaussian_mechanism(
            noise.value, sampling_prob=rate.value, value_discretization_interval=interval
        )
        total = total.compose(part.self_compose(count))
    for mixture, count in sorted(tally.mixtures.items()):
        total = total.compose(_mixed(mixture, interval).self_compose(count))
    return total


@lru_cache(maxsize=32)
def _mixed(mixture: _Mixture, interval: float) -> pld.PrivacyLossDistribution:
    """Give the distribution of one sum; it takes longer to make than to compose."""
    _, noise, departments = mixture
    return pld.from_mixture_gaussian_mechanism(
        noise.value,
        sensitivities=[float(k) for k in range(departments + 1)],
        sampling_probs=_chances(mixture),
        value_discretization_interval=interval,
    )


def _chances(mixture: _Mixture) -> list[float]:
    """Give the probability of 0, 1, ... contributions of one resident to a sum."""
    rate, _, departments = mixture
    found: list[float] = stats.binom.pmf(range(departments + 1), departments, rate.value).tolist()
    return [chance / math.fsum(found) for chance in found]


def _interval(tally: _Tally) -> float:
    """Give a power of two: about 1/16 of the root mean square loss of the composed parts.

    Coarser where one step's loss has a long tail, so that it has at most some 2^15 values, and
    where mixtures are among the parts, whose values are dear. Any choice is sound, for rounding
    is pessimistic; this one costs ε some 0.1 % (with mixtures 0.2 %).
    """
    variance, parts, longest = tally.precision, 1 if tally.precision else 0, 0.0
    for (rate, noise), count in tally.sampled.items():
        variance += count * rate.value**2 * math.expm1(min(1 / noise.value**2, 50.0))
        parts += count
        longest = max(longest, math.log1p(rate.value * math.expm1(min(9 / noise.value, 500.0))))
    for mixture, count in tally.mixtures.items():
        spread, tail = _spread(mixture)
        variance += count * spread
        parts += count
        longest = max(longest, tail)
    mixed = bool(tally.mixtures)
    wanted = max(math.sqrt(variance / parts) / (16 >> mixed), longest / (2**14 >> 2 * mixed))
    return math.ldexp(1.0, min(max(math.floor(math.log2(wanted)), _FINEST), _COARSEST + mixed))


def _spread(mixture: _Mixture) -> tuple[float, float]:
    """Give the mean square loss of one sum, about, and how far its tail reaches."""
    chances, scale = _chances(mixture), mixture[1].value
    square = math.fsum(
        p * q * math.expm1(min(i * j / scale**2, 50.0))
        for i, p in enumerate(chances)
        for j, q in enumerate(chances)
    )
    tail = math.fsum(p * math.exp(min(9 * i / scale, 500.0)) for i, p in enumerate(chances))
    return square, math.log(tail)
