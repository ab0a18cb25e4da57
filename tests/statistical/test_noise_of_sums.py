import math

import numpy as np
import pytest
from fits import CLEARLY_WRONG, PLAUSIBLE, fits_variance
from scipy import stats
from scripted import ScriptedEntropy

from models.governance.cost import GaussianEvent, PrivacyCost
from models.privacy import accounting
from models.privacy.mechanisms import noisy_count, noisy_sum
from models.quantities import ClipNorm, Delta, NoiseMultiplier

WIDTH = 20_000


def errors(noise: float, bound: float, *, residents: int = 10) -> np.ndarray:
    """Give sum with noise minus the clipped sum, per coordinate."""
    generator = np.random.default_rng(3)
    values = generator.normal(size=(residents, WIDTH))
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    clipped = values * np.minimum(1, bound / lengths)
    found = noisy_sum(
        values,
        bound=ClipNorm(bound),
        noise=NoiseMultiplier(noise),
        entropy=ScriptedEntropy(f"{noise}/{bound}"),
    )
    return found - clipped.sum(axis=0)


@pytest.mark.parametrize("noise", [0.3, 1.0, 7.77, 300.0, 20_000.0])
@pytest.mark.parametrize("bound", [1e-3, 1.0, 250.0])
def test_the_noise_of_a_sum_is_right_and_two_thirds_or_three_halves_of_it_are_caught(
    noise: float, bound: float
) -> None:
    found = errors(noise, bound)
    assert fits_variance(found, noise * bound) > PLAUSIBLE
    for wrong in (2 / 3, 3 / 2):
        assert fits_variance(errors(noise * wrong, bound), noise * bound) < CLEARLY_WRONG


def test_the_noise_of_a_sum_is_normal() -> None:
    assert stats.kstest(errors(2.0, 1.0) / 2.0, "norm").pvalue > PLAUSIBLE


def test_a_sum_over_nobody_is_noise_alone() -> None:
    assert fits_variance(errors(1.5, 2.0, residents=0), 3.0) > PLAUSIBLE


@pytest.mark.parametrize("noise", [1.0, 45.0])
def test_the_noise_of_a_count_is_right_and_wrong_ones_are_caught(noise: float) -> None:
    entropy = ScriptedEntropy(9)
    counts = [
        noisy_count(1234, noise=NoiseMultiplier(noise), entropy=entropy) - 1234 for _ in range(2000)
    ]
    found = np.array(counts)
    assert fits_variance(found, noise) > PLAUSIBLE
    assert fits_variance(found, noise * 2 / 3) < CLEARLY_WRONG
    assert fits_variance(found, noise * 3 / 2) < CLEARLY_WRONG


def audited_epsilon(noise: float, *, canaries: int = 4000, guesses: int = 400) -> float:
    """Give a lower bound of ε by auditing one release (Steinke, Nasr, Jagielski 2023).

    Each canary is a resident with a coordinate of its own, in or out by a fair coin; the auditor
    guesses the coins of the most extreme coordinates. With (ε, δ)-privacy the number of right
    guesses is at most about Binomial(guesses, e^ε / (1 + e^ε)): the bound holds with 99 %.
    """
    coins = np.random.default_rng(5).random(canaries) < 0.5
    found = noisy_sum(
        np.eye(canaries)[coins],
        bound=ClipNorm(1.0),
        noise=NoiseMultiplier(noise),
        entropy=ScriptedEntropy("audit"),
    )
    order = np.argsort(found)
    outside, inside = order[: guesses // 2], order[-guesses // 2 :]
    right = int(coins[inside].sum() + (~coins[outside]).sum())
    chance = stats.beta.ppf(0.01, right, guesses - right + 1)
    return max(0.0, math.log(chance / (1 - chance)))


def test_an_audit_of_one_release_stays_below_the_stated_loss_and_sees_missing_noise() -> None:
    cost = PrivacyCost(events=(GaussianEvent(noise=NoiseMultiplier(4.0)),))
    stated = accounting.epsilon(cost, delta=Delta(1e-5))
    assert 0 < audited_epsilon(4.0) <= stated < audited_epsilon(0.4)
