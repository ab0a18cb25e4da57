import math
from fractions import Fraction

import numpy as np
import pytest

from models.errors import UsageError
from models.evaluation.auditing import Guesses, noise_chance
from models.quantities import Delta, Epsilon, NoiseVariance

DELTA = Delta(1e-5)


def slow_chance(guesses: Guesses, rate: Fraction, delta: Fraction) -> Fraction:
    """The bound as the paper has it, by counting, in fractions."""
    made, right = guesses.made, guesses.right

    def exactly(k: int) -> Fraction:
        return math.comb(made, k) * rate**k * (1 - rate) ** (made - k)

    beta = sum((exactly(k) for k in range(right, made + 1)), Fraction(0))
    alpha = Fraction(0)
    for i in range(1, guesses.canaries + 1):
        between = sum((exactly(k) for k in range(max(0, right - i), right)), Fraction(0))
        alpha = max(alpha, between / i)
    return min(Fraction(1), beta + 2 * guesses.canaries * delta * alpha)


@pytest.mark.parametrize("right", [0, 1, 13, 20, 29, 30])
@pytest.mark.parametrize("odds", [1, 2, 20])
def test_the_chance_is_that_of_the_paper(right, odds) -> None:
    guesses = Guesses(canaries=40, made=30, right=right)
    delta = Fraction(1, 1000)
    expected = slow_chance(guesses, Fraction(odds, odds + 1), delta)
    loss = Epsilon(math.log(odds)) if odds > 1 else Epsilon(1e-12)
    found = guesses.chance(epsilon=loss, delta=Delta(float(delta)))
    assert found == pytest.approx(float(expected), rel=1e-8)


def test_the_least_epsilon_is_where_the_chance_becomes_the_error() -> None:
    guesses = Guesses(canaries=10_000, made=1000, right=700)
    found = guesses.least_epsilon(delta=DELTA)
    assert 0.6 < found < math.log(0.7 / 0.3)
    assert guesses.chance(epsilon=Epsilon(found), delta=DELTA) <= 0.05
    assert guesses.chance(epsilon=Epsilon(found + 1e-6), delta=DELTA) > 0.05


def test_more_right_guesses_show_more_and_a_higher_confidence_or_delta_less() -> None:
    def shown(right: int, delta: float = 1e-5, confidence: float = 0.95) -> float:
        guesses = Guesses(canaries=1000, made=500, right=right)
        return guesses.least_epsilon(delta=Delta(delta), confidence=confidence)

    found = [shown(right) for right in range(0, 501, 50)]
    assert found == sorted(found)
    assert found[5] == 0.0  # half of them right: what a coin does
    assert found[-1] > 4.0
    assert shown(450, confidence=0.999) < shown(450)
    assert shown(450, delta=1e-4) < shown(450)


def test_randomised_response_is_accused_as_seldom_as_the_confidence_says() -> None:
    generator = np.random.default_rng(1)
    loss, runs = 1.0, 2000
    rate = math.exp(loss) / (1 + math.exp(loss))
    rights = generator.binomial(400, rate, size=runs)
    too_high = []
    for right in rights:
        guesses = Guesses(canaries=400, made=400, right=int(right))
        too_high.append(guesses.chance(epsilon=Epsilon(loss), delta=Delta(1e-9)) <= 0.05)
    assert 0.03 < np.mean(too_high) <= 0.06
    assert np.mean(rights) / 400 > 0.7


def test_guesses_are_made_where_scores_are_farthest_from_zero() -> None:
    scores = np.array([0.1, -9.0, 3.0, -2.0, 8.0, -0.2])
    coins = np.array([True, False, False, True, True, False])
    assert Guesses.of(scores, coins, made=2) == Guesses(canaries=6, made=2, right=2)
    assert Guesses.of(scores, coins, made=4) == Guesses(canaries=6, made=4, right=2)
    assert Guesses.of(scores, coins, made=6) == Guesses(canaries=6, made=6, right=4)


@pytest.mark.parametrize(
    ("canaries", "made", "right"), [(5, 6, 1), (5, 3, 4), (5, 0, 0), (5, 3, -1)]
)
def test_counts_that_contradict_each_other_are_refused(canaries, made, right) -> None:
    with pytest.raises(UsageError):
        Guesses(canaries=canaries, made=made, right=right)


def test_scores_and_coins_must_be_of_the_same_canaries() -> None:
    with pytest.raises(UsageError):
        Guesses.of(np.zeros(3), np.zeros(4, dtype=bool), made=2)


def test_noise_of_the_right_variance_is_plausible_and_other_noise_is_not() -> None:
    noise = np.random.default_rng(2).normal(scale=3.0, size=20_000)
    assert noise_chance(noise, variance=NoiseVariance(9.0)) > 1e-3
    for wrong in (2 / 3, 3 / 2):
        assert noise_chance(noise * wrong, variance=NoiseVariance(9.0)) < 1e-9
    assert noise_chance(noise * 1e6, variance=NoiseVariance(9.0)) == 0.0


def test_no_noise_cannot_be_tested() -> None:
    with pytest.raises(UsageError):
        noise_chance(np.empty(0), variance=NoiseVariance(1.0))
    with pytest.raises(UsageError):
        noise_chance(np.zeros(3), variance=NoiseVariance(0.0))
