import math

import numpy as np
import pytest
from fits import CLEARLY_WRONG, PLAUSIBLE, fits_discrete_gaussian, fits_rate
from oracles import discrete_gaussian as slow_discrete_gaussian
from scipy import stats
from scripted import ScriptedEntropy

from models.privacy import sampler
from models.quantities import SamplingRate


def draw(scale: int, size: int = 200_000, seed: int = 1) -> np.ndarray:
    return sampler.discrete_gaussian(scale=scale, size=size, entropy=ScriptedEntropy(seed))


@pytest.mark.parametrize("scale", [1, 2, 3, 7, 12, 100])
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
    stream = sampler._Stream(ScriptedEntropy(2))
    trials = 100_000
    success = sampler._exp_bernoulli(stream, np.full(trials, numerator), parts=parts).sum()
    if numerator == 0:
        assert success == trials
    else:
        assert fits_rate(success, trials, math.exp(-numerator / parts)) > PLAUSIBLE
        assert fits_rate(success, trials, math.exp(-numerator / parts) ** 1.1) < CLEARLY_WRONG


@pytest.mark.parametrize("whole", [0, 1, 2, 3])
def test_several_trials_succeed_together_with_probability_exp_minus_their_number(
    whole: int,
) -> None:
    stream = sampler._Stream(ScriptedEntropy(3))
    held = sampler._all_succeed(stream, np.full(100_000, whole)).sum()
    if whole == 0:
        assert held == 100_000
    else:
        assert fits_rate(held, 100_000, math.exp(-whole)) > PLAUSIBLE


def test_counts_of_successes_are_geometric() -> None:
    counts = sampler._successes(sampler._Stream(ScriptedEntropy(4)), size=100_000)
    expected = np.exp(-np.arange(8.0)) * (1 - math.exp(-1)) * counts.size
    observed = np.bincount(np.minimum(counts, 8), minlength=9)
    expected = np.append(expected, counts.size - expected.sum())
    assert stats.chisquare(observed, expected).pvalue > PLAUSIBLE


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 1000])
def test_uniform_integers_are_uniform(limit: int) -> None:
    found = sampler.uniform_below(limit=limit, size=100_000, entropy=ScriptedEntropy(5))
    observed = np.bincount(found, minlength=limit)
    assert observed.size == limit
    if limit > 1:
        assert stats.chisquare(observed).pvalue > PLAUSIBLE


def test_uniform_integers_below_a_limit_near_the_word_size_reject_the_rest() -> None:
    limit = sampler._WORDS * 2 // 5
    found = sampler.uniform_below(limit=limit, size=50_000, entropy=ScriptedEntropy(6))
    assert stats.kstest(found / limit, "uniform").pvalue > PLAUSIBLE
    # Remainders, the usual mistake, would give the lower half three chances and the upper two.
    remainders = sampler._Stream(ScriptedEntropy(6)).words(50_000) % limit
    assert stats.kstest(remainders / limit, "uniform").pvalue < CLEARLY_WRONG


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
