"""Calibration keeps ε over a grid of studies, with the least noise that does."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.governance.cost import GaussianEvent, PrivacyCost, SampledGaussianEvent
from models.privacy import accounting
from models.privacy.calibration import (
    LARGEST_NOISE,
    SMALLEST_NOISE,
    Question,
    _decimal,
    _index,
    calibrate,
)
from models.quantities import Delta, Epsilon, NoiseMultiplier, SamplingRate

GRID = list(
    itertools.product(
        (0.1, 1.0, 8.0),
        (1e-4, 1e-6),
        (1, 4),
        ((1.0, 50), (0.25, 200), (0.03, 1000)),
    )
)


def costs(q: Question, training: NoiseMultiplier, count: NoiseMultiplier) -> PrivacyCost:
    counts = (GaussianEvent(noise=count),) * q.draws
    steps = SampledGaussianEvent(sampling=q.sampling, noise=training, count=q.steps)
    return PrivacyCost(events=(*counts, steps))


def question(
    epsilon: float, delta: float, departments: int, rate: float, steps: int, draws: int = 2
) -> Question:
    return Question(
        epsilon=Epsilon(epsilon),
        delta=Delta(delta),
        departments=departments,
        draws=draws,
        sampling=SamplingRate(rate),
        steps=steps,
    )


def price(q: Question, cost: PrivacyCost) -> float:
    return accounting.epsilon(cost, delta=q.delta, copies=q.departments)


@pytest.mark.parametrize(("epsilon", "delta", "departments", "sampling"), GRID)
def test_calibrated_noise_keeps_epsilon_and_the_next_smaller_decimal_does_not(
    epsilon: float, delta: float, departments: int, sampling: tuple[float, int]
) -> None:
    q = question(epsilon, delta, departments, *sampling)
    training, count, evaluation = calibrate(q)
    assert 0.99 * epsilon < price(q, costs(q, training, count)) <= epsilon
    less = _decimal(_index(training) - 1)
    assert less < training
    assert price(q, costs(q, less, count)) > epsilon * (1 - 1e-6)

    def evaluations(noise: NoiseMultiplier) -> PrivacyCost:
        return PrivacyCost(events=(GaussianEvent(noise=noise),) * q.draws)

    assert price(q, evaluations(evaluation)) <= epsilon
    if evaluation > SMALLEST_NOISE:
        assert price(q, evaluations(_decimal(_index(evaluation) - 1))) > epsilon * (1 - 1e-6)


@given(
    epsilon=st.floats(0.05, 20.0),
    delta=st.floats(1e-8, 1e-3),
    departments=st.integers(1, 8),
    rate=st.floats(0.01, 1.0),
    steps=st.integers(1, 500),
    draws=st.integers(1, 2),
)
@settings(max_examples=15, deadline=None)
def test_calibrated_noise_keeps_any_epsilon(
    epsilon: float, delta: float, departments: int, rate: float, steps: int, draws: int
) -> None:
    q = question(epsilon, delta, departments, rate, steps, draws)
    training, count, evaluation = calibrate(q)
    assert price(q, costs(q, training, count)) <= epsilon
    assert price(q, PrivacyCost(events=(GaussianEvent(noise=evaluation),) * draws)) <= epsilon


@given(used=st.lists(st.booleans(), min_size=1, max_size=4))
@settings(max_examples=10, deadline=None)
def test_departments_that_spent_differently_inside_the_plan_keep_epsilon_together(
    used: list[bool],
) -> None:
    q = question(1.0, 1e-5, 4, 0.2, 100)
    training, count, _ = calibrate(q)
    parts = [
        SampledGaussianEvent(sampling=q.sampling, noise=training, count=100 if all_ else 7)
        for all_ in used
    ]
    spent = PrivacyCost(events=(*parts, *[GaussianEvent(noise=count)] * len(used)))
    assert accounting.epsilon(spent, delta=q.delta) <= 1.0


@given(index=st.integers(_index(SMALLEST_NOISE), _index(LARGEST_NOISE)))
def test_decimals_rise_and_know_their_rank(index: int) -> None:
    noise = _decimal(index)
    assert _index(noise) == index
    assert noise < _decimal(index + 1)
    assert float(f"{noise.value:.4g}") == noise.value
