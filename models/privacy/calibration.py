"""The least noise that keeps an (ε, δ): a search over decimals, the same on every machine."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache

from models.errors import UsageError
from models.governance.cost import GaussianEvent, PrivacyCost, SampledGaussianEvent
from models.privacy import accounting
from models.quantities import Delta, Epsilon, NoiseMultiplier, SamplingRate

COUNT_SHARE = 0.2
"""The part of ε that the noisy count of residents may use, of what training may use.

Losses compose in squares: a fifth of ε for the count costs the training 1.5 to 3 % more noise,
and halves the noise of the count beside a tenth.
"""

MARGIN = 1e-6
"""Calibrated costs stay this part below ε, so that no machine's rounding finds them above it."""

SMALLEST_NOISE, LARGEST_NOISE = NoiseMultiplier(0.2), NoiseMultiplier(20_000)
"""Noise is never below the one, whatever ε allows; a study that needs more than the other fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """All that the noise of a study depends on.

    Attributes:
        epsilon, delta: to be kept.
        departments: how many of them pay everything below for the same resident.
        draws: how often each of them may draw the count, and the evaluation.
        sampling, steps: of each of them, all rounds together.
    """

    epsilon: Epsilon
    delta: Delta
    departments: int
    draws: int
    sampling: SamplingRate
    steps: int


@lru_cache(maxsize=256)
def calibrate(
    question: Question,
) -> tuple[NoiseMultiplier, NoiseMultiplier, NoiseMultiplier]:
    """Give the noise of training, count and evaluation.

    The least four-digit decimals whose accounted ε stays `MARGIN` below the wanted one. So
    machines whose arithmetic differs in the last bits find the same noise, or (with chance of
    about 1e-6) two neighbouring decimals that both keep the guarantee.

    Raises:
        UsageError: no reasonable noise keeps so small an ε over so many steps.
        AccountingError: δ is smaller than what can be accounted for.
    """
    q = question

    def draws(noise: NoiseMultiplier) -> PrivacyCost:
        return PrivacyCost(events=(GaussianEvent(noise=noise),) * q.draws)

    def train(noise: NoiseMultiplier) -> PrivacyCost:
        return draws(count) + PrivacyCost(events=(_steps(q, noise),))

    share = Epsilon(COUNT_SHARE * q.epsilon.value)
    once = SamplingRate(1.0)
    evaluation = _least_noise(draws, q, limit=q.epsilon, start=_guess(q, q.epsilon, once, q.draws))
    count = _least_noise(draws, q, limit=share, start=_guess(q, share, once, q.draws))
    start = _guess(q, q.epsilon, q.sampling, q.steps)
    training = _least_noise(train, q, limit=q.epsilon, start=start)
    return training, count, evaluation


def _steps(question: Question, noise: NoiseMultiplier) -> SampledGaussianEvent:
    return SampledGaussianEvent(sampling=question.sampling, noise=noise, count=question.steps)


def _guess(
    question: Question, limit: Epsilon, sampling: SamplingRate, times: int
) -> NoiseMultiplier:
    """Give about the noise that `times` sums need, by the central limit: a start, not a bound."""
    log = math.log(1 / question.delta.value)
    mu = math.sqrt(2) * (math.sqrt(log + limit.value) - math.sqrt(log))
    spread = mu / (sampling.value * math.sqrt(times * question.departments))
    return NoiseMultiplier(1 / math.sqrt(math.log1p(spread**2)))


def _least_noise(
    cost: Callable[[NoiseMultiplier], PrivacyCost],
    question: Question,
    *,
    limit: Epsilon,
    start: NoiseMultiplier,
) -> NoiseMultiplier:
    """Give the least four-digit noise whose cost keeps `limit`, searching from `start`."""

    @cache
    def excess(index: int) -> float:
        found = accounting.epsilon(
            cost(_decimal(index)), delta=question.delta, copies=question.departments
        )
        return math.log(found / (limit.value * (1 - MARGIN)))

    least, most = _index(SMALLEST_NOISE), _index(LARGEST_NOISE)
    fails, keeps = _bracket(excess, start=min(max(_index(start), least), most), most=most)
    if keeps == least:
        return SMALLEST_NOISE
    for turn in itertools.count():
        if keeps - fails == 1:
            break
        middle = (fails + keeps) // 2
        if turn % 3 < 2 and math.isfinite(excess(fails)):  # noqa: PLR2004 - mostly interpolate
            slope = (excess(fails) - excess(keeps)) / (keeps - fails)
            middle = fails + math.ceil(excess(fails) / slope)
        middle = min(max(middle, fails + 1), keeps - 1)
        if excess(middle) <= 0:
            keeps = middle
        else:
            fails = middle
    return _decimal(keeps)


def _bracket(excess: Callable[[int], float], *, start: int, most: int) -> tuple[int, int]:
    """Give two decimals around the least that keeps the limit: the lower one fails.

    Where already the least noise keeps it, both are the least.
    """
    least = _index(SMALLEST_NOISE)
    stride, fails, keeps = 100, start, start
    while excess(keeps) > 0:
        if keeps == most:
            raise UsageError(
                "no reasonable amount of noise keeps so small an ε over so many steps",
                hint="raise ε, or lower rounds, steps, the sampling rate or the departments "
                "that one resident can be in",
            )
        fails, keeps, stride = keeps, min(keeps + stride, most), stride * 2
    while excess(fails) <= 0:
        if fails == least:
            return least, least
        fails, keeps, stride = max(fails - stride, least), fails, stride * 2
    return fails, keeps


def _decimal(index: int) -> NoiseMultiplier:
    """Give the four-digit decimal of that rank: 0 is 0.001000, 9000 is 0.01000."""
    exponent, digits = divmod(index, 9000)
    return NoiseMultiplier(float(f"{digits + 1000}e{exponent - 6}"))


def _index(noise: NoiseMultiplier) -> int:
    """Give the rank of the four-digit decimal nearest to `noise`."""
    exponent = math.floor(math.log10(noise.value))
    return 9000 * (exponent + 3) + round(noise.value / 10.0 ** (exponent - 3)) - 1000
