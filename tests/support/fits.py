"""How well samples fit a distribution, as p-values: shared by the statistical tests."""

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

CLEARLY_WRONG = 1e-9
"""Below this p-value a sample is said to have another distribution."""

PLAUSIBLE = 1e-3
"""Above this p-value it is said to fit. The tests' entropy is scripted: they never flicker."""


def discrete_gaussian_pmf(scale: int, *, within: int) -> npt.NDArray[np.float64]:
    """Give P(x) of N_Z(0, scale²) for x = -within, …, within, from its definition."""
    points = np.arange(-within, within + 1)
    everything = np.arange(-40 * scale - 40, 40 * scale + 41)
    return np.exp(-(points**2) / (2 * scale**2)) / np.exp(-(everything**2) / (2 * scale**2)).sum()


def fits_discrete_gaussian(sample: npt.NDArray[np.int64], scale: int) -> float:
    """Give the p-value of a chi-square test against the exact probabilities, tails pooled."""
    within = 3 * scale
    expected = discrete_gaussian_pmf(scale, within=within) * sample.size
    inside = sample[np.abs(sample) <= within]
    observed = np.bincount(inside + within, minlength=2 * within + 1).astype(float)
    tails = np.array([(sample < -within).sum(), (sample > within).sum()], dtype=float)
    rest = (sample.size - expected.sum()) / 2
    return float(
        stats.chisquare(np.append(observed, tails), np.append(expected, [rest, rest])).pvalue
    )


def fits_variance(sample: npt.NDArray[np.float64], deviation: float) -> float:
    """Give the two-sided p-value that a normal sample with mean 0 has that standard deviation."""
    statistic = float(np.square(sample / deviation).sum())
    low = stats.chi2.cdf(statistic, sample.size)
    return 2 * min(low, 1 - low)


def fits_rate(successes: int, trials: int, rate: float) -> float:
    """Give the two-sided p-value that independent trials succeed with that rate."""
    deviation = math.sqrt(trials * rate * (1 - rate))
    return float(2 * stats.norm.sf(abs(successes - trials * rate) / deviation))
