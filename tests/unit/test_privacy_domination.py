"""The discrete Gaussian is no less private than the continuous one it is accounted for as.

Numeric checks of the two arguments in `models.privacy.sampler`, at scales far smaller (and so
harder) than those in use.
"""

import itertools
import math

import numpy as np
import pytest
from fits import discrete_gaussian_pmf
from oracles import gaussian_delta


def shifted(scale: int, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the probabilities of N_Z(shift, scale²) and N_Z(0, scale²) on the same points."""
    within = 14 * scale + abs(shift)
    pmf = discrete_gaussian_pmf(scale, within=within)
    return np.pad(pmf, (shift, 0)), np.pad(pmf, (0, shift))


@pytest.mark.parametrize("wanted", [8, 9, 20, 64])
@pytest.mark.parametrize("shift", [1, 3, 8, 16])
def test_one_coordinate_leaks_no_more_than_the_continuous_mechanism(
    wanted: int, shift: int
) -> None:
    with_resident, without = shifted(wanted + 1, shift)
    for epsilon in np.linspace(0.01, 4.0, 40):
        discrete = np.maximum(with_resident - math.exp(epsilon) * without, 0).sum()
        assert discrete <= gaussian_delta(epsilon, shift / wanted) + 1e-13


def test_two_coordinates_leak_no_more_than_their_norm_in_the_continuous_mechanism() -> None:
    wanted = 8
    (p1, q1), (p2, q2) = shifted(wanted + 1, 6), shifted(wanted + 1, 8)
    p, q = np.outer(p1, p2), np.outer(q1, q2)
    for epsilon in (0.1, 0.5, 1.0, 2.0, 3.0):
        discrete = np.maximum(p - math.exp(epsilon) * q, 0).sum()
        assert discrete <= gaussian_delta(epsilon, 10 / wanted) + 1e-13


@pytest.mark.parametrize("rate", [0.05, 0.4])
def test_a_sampled_coordinate_leaks_no_more_either_way(rate: float) -> None:
    wanted, shift = 8, 8
    scale = wanted + 1
    with_resident, without = shifted(scale, shift)
    mixed = rate * with_resident + (1 - rate) * without
    points = np.linspace(-14 * wanted, 14 * wanted + shift, 400_001)
    step = points[1] - points[0]
    near, far = (
        np.exp(-((points - c) ** 2) / (2 * wanted**2)) / (wanted * math.sqrt(2 * math.pi))
        for c in (0, shift)
    )
    both = rate * far + (1 - rate) * near
    for epsilon in (0.05, 0.2, 0.5, 1.0):
        grow = math.exp(epsilon)
        for one, other, x, y in ((mixed, without, both, near), (without, mixed, near, both)):
            discrete = np.maximum(one - grow * other, 0).sum()
            continuous = (np.maximum(x - grow * y, 0) * step).sum()
            assert discrete <= continuous + 1e-9


def test_less_noise_than_wanted_does_leak_more() -> None:
    # The checks above can fail: with a scale below the wanted one they do.
    with_resident, without = shifted(7, 8)
    discrete = np.maximum(with_resident - math.e * without, 0).sum()
    assert discrete > gaussian_delta(1.0, 8 / 8) + 1e-3


@pytest.mark.parametrize("order", [2, 3, 7])
@pytest.mark.parametrize("rate", [0.1, 1.0])
def test_moments_of_integer_order_are_those_of_the_continuous_mechanism(
    order: int, rate: float
) -> None:
    scale, shift = 4, 3
    points = np.arange(-200, 201)
    ratio = np.exp((points * shift - shift**2 / 2) / scale**2)  # P_v / P_0
    discrete = (discrete_gaussian_pmf(scale, within=200) * (1 - rate + rate * ratio) ** order).sum()
    continuous = sum(
        math.comb(order, k)
        * rate**k
        * (1 - rate) ** (order - k)
        * math.exp((k * k - k) * shift**2 / (2 * scale**2))
        for k in range(order + 1)
    )
    assert discrete == pytest.approx(continuous, rel=1e-12)


def test_rounding_by_a_discrete_gaussian_has_a_constant_normaliser() -> None:
    # Sum of exp(-(x - c)²/32) over the integers x: 4·√(2π), wherever c lies.
    points = np.arange(-200, 201)
    for centre in np.linspace(0, 1, 17):
        total = math.fsum(np.exp(-((points - centre) ** 2) / 32))
        assert total == pytest.approx(4 * math.sqrt(2 * math.pi), rel=1e-15)
    # Two terms of the Poisson summation are left, for the frequencies 1 and -1.
    assert 2 * math.exp(-2 * math.pi**2 * 16) < 1e-136


def test_adding_the_rounding_to_a_narrower_gaussian_gives_the_discrete_gaussian() -> None:
    # The convolution in full: c from N(0, s² - 16), then x by exp(-(x - c)²/32).
    scale = 9
    centres, step = np.linspace(-90, 90, 36_001, retstep=True)
    density = np.exp(-(centres**2) / (2 * (scale**2 - 16)))
    density /= density.sum() * step
    wide = np.arange(-120, 121)
    kernel = np.exp(-((wide[:, None] - centres) ** 2) / 32)
    kernel /= kernel.sum(axis=0)
    found = (kernel * density).sum(axis=1) * step
    exact = discrete_gaussian_pmf(scale, within=120)
    inside = np.abs(wide) <= 60
    assert found[inside] == pytest.approx(exact[inside], rel=1e-9)
    assert all(a < b for a, b in itertools.pairwise(found[(wide >= -60) & (wide <= 0)]))
