import math

import numpy as np
import pytest
from fits import CLEARLY_WRONG, PLAUSIBLE, fits_discrete_gaussian, fits_rate
from oracles import discrete_gaussian as slow_discrete_gaussian
from scipy import stats
from scripted import ScriptedEntropy

from models.privacy import blocks, keystream, sampler
from models.quantities import SamplingRate


def draw(scale: int, size: int = 200_000, seed: int = 1) -> np.ndarray:
    return sampler.discrete_gaussian(scale=scale, size=size, entropy=ScriptedEntropy(seed))


@pytest.mark.parametrize("scale", [1, 2, 3, 7, 12, 31, 32, 63, 64, 100, 200])
def test_numbers_have_the_exact_probabilities(scale: int) -> None:
    assert fits_discrete_gaussian(draw(scale), scale) > PLAUSIBLE


@pytest.mark.parametrize("scale", [3, 12, 102])
@pytest.mark.parametrize("wrong", [2 / 3, 3 / 2])
def test_the_probabilities_of_a_wrong_scale_are_told_apart(scale: int, wrong: float) -> None:
    assert fits_discrete_gaussian(draw(round(scale * wrong)), scale) < CLEARLY_WRONG


def test_a_rounded_normal_of_scale_one_is_told_apart() -> None:
    # The test sees the difference between the discrete Gaussian and rounding a normal number.
    rounded = np.round(np.random.default_rng(1).normal(size=200_000)).astype(np.int64)
    assert fits_discrete_gaussian(rounded, 1) < CLEARLY_WRONG


@pytest.mark.parametrize("scale", [2**18, 2**25])
def test_large_scales_look_normal_and_two_thirds_or_three_halves_of_them_do_not(scale: int) -> None:
    numbers = draw(scale) / scale
    assert stats.kstest(numbers, "norm").pvalue > PLAUSIBLE
    assert stats.kstest(numbers * 2 / 3, "norm").pvalue < CLEARLY_WRONG
    assert stats.kstest(numbers * 3 / 2, "norm").pvalue < CLEARLY_WRONG


@pytest.mark.parametrize("scale", [1, 4])
def test_the_slow_sampler_of_the_paper_agrees(scale: int) -> None:
    entropy = ScriptedEntropy("slow")
    slow = np.array([slow_discrete_gaussian(scale, entropy) for _ in range(10_000)])
    fast = draw(scale, size=10_000)
    assert fits_discrete_gaussian(slow, scale) > PLAUSIBLE
    within = 3 * scale
    both = [
        np.bincount(np.clip(numbers, -within, within) + within, minlength=2 * within + 1)
        for numbers in (slow, fast)
    ]
    table = np.array(both)[:, np.sum(both, axis=0) > 20]
    assert stats.chi2_contingency(table).pvalue > PLAUSIBLE


def test_neighbouring_draws_and_signs_are_uncorrelated() -> None:
    numbers = draw(1000).astype(float)
    lags = [np.corrcoef(numbers[:-lag], numbers[lag:])[0, 1] for lag in (1, 2, 65_536)]
    assert np.abs(lags).max() < 4 / math.sqrt(100_000)
    assert abs(np.corrcoef(np.abs(numbers[:-1]), np.abs(numbers[1:]))[0, 1]) < 0.01


@pytest.mark.parametrize(("numerator", "parts"), [(0, 1), (1, 3), (7, 7), (2**50, 2**51)])
def test_trials_succeed_with_probability_exp_minus_the_ratio(numerator: int, parts: int) -> None:
    stream = keystream.Stream(ScriptedEntropy(2))
    trials = 100_000
    success = keystream.exp_bernoulli(stream, np.full(trials, numerator), parts=parts).sum()
    if numerator == 0:
        assert success == trials
    else:
        assert fits_rate(success, trials, math.exp(-numerator / parts)) > PLAUSIBLE
        assert fits_rate(success, trials, math.exp(-numerator / parts) ** 1.1) < CLEARLY_WRONG


@pytest.mark.parametrize(("numerator", "parts"), [(0, 1), (1, 3), (3, 7), (2**50, 2**51)])
def test_numbers_are_below_a_ratio_with_its_probability(numerator: int, parts: int) -> None:
    stream = keystream.Stream(ScriptedEntropy(3))
    numerators = np.full(100_000, numerator)
    below = keystream.below_ratio(stream, stream.words(100_000), numerators, parts=parts).sum()
    if numerator == 0:
        assert below == 0
    else:
        assert fits_rate(below, 100_000, numerator / parts) > PLAUSIBLE
        assert fits_rate(below, 100_000, numerator / parts * 0.9) < CLEARLY_WRONG


@pytest.mark.parametrize("scale", [3, 100, 2**25])
def test_blocks_have_their_probabilities(scale: int) -> None:
    found = blocks.table(scale)
    chosen = found.choose(keystream.Stream(ScriptedEntropy(4)), size=200_000)
    least = np.arange(len(found.sums) + 1) * 2.0**found.bits / scale
    expected = np.exp(-(least**2) / 2)
    expected *= chosen.size / expected.sum()
    likely = expected > 20
    observed = np.bincount(chosen, minlength=expected.size)

    def fit(counts: np.ndarray) -> float:
        pair = [np.append(each[likely], each[~likely].sum()) for each in (counts, expected)]
        return stats.chisquare(*pair).pvalue

    assert fit(observed) > PLAUSIBLE
    assert fit(np.roll(observed, 1)) < CLEARLY_WRONG


@pytest.mark.parametrize("rate", [0.5, 0.05, 1e-3])
def test_samples_have_the_stated_rate_and_no_other(rate: float) -> None:
    size = 2_000_000
    found = sampler.poisson_sample(
        population=size, rate=SamplingRate(rate), entropy=ScriptedEntropy(7)
    )
    assert fits_rate(found.size, size, rate) > PLAUSIBLE
    assert fits_rate(found.size, size, rate * 2 / 3) < CLEARLY_WRONG
    assert fits_rate(found.size, size, min(rate * 3 / 2, 0.99)) < CLEARLY_WRONG


def test_residents_enter_samples_independently_of_each_other() -> None:
    entropy = ScriptedEntropy(8)
    sizes = np.array(
        [
            sampler.poisson_sample(population=100, rate=SamplingRate(0.3), entropy=entropy).size
            for _ in range(3000)
        ]
    )
    # Samples of a fixed size would have no variance at all: binomial ones have 100·.3·.7.
    statistic = sizes.var() / 21 * sizes.size
    low = stats.chi2.cdf(statistic, sizes.size - 1)
    assert min(low, 1 - low) > PLAUSIBLE
