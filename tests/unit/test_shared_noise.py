"""Shared noise: who adds how much, what it costs, and that nothing is won by sharing."""

import math

import numpy as np
import pytest
from fits import discrete_gaussian_pmf

from models.errors import AccountingError
from models.governance.cost import GaussianEvent, JointGaussianEvent, PrivacyCost
from models.privacy import accounting, shared_noise
from models.privacy.shared_noise import LogGap, SharedNoise
from models.quantities import Delta, NoiseMultiplier, SamplingRate


@pytest.mark.parametrize("noise", [0.05, 0.7, 13.0, 60.8, 5000.0])
@pytest.mark.parametrize("carriers", [1, 2, 3, 15])
@pytest.mark.parametrize("length", [1, 116, 100_000])
def test_the_carriers_alone_add_the_wanted_noise_and_hardly_more(noise, carriers, length) -> None:
    found = SharedNoise.of(NoiseMultiplier(noise), length=length, carriers=carriers)
    remaining = math.sqrt(carriers * found.scale**2 - 16) / found.reach
    assert noise <= found.noise.value <= remaining
    assert found.noise.value == pytest.approx(noise, rel=0.02)
    assert found.reach >= 2**found.bits + math.sqrt(length)
    assert found.reach < 2**found.bits + math.sqrt(length) + 1


def test_of_two_departments_each_adds_all_of_it() -> None:
    noise = NoiseMultiplier(13.0)
    one = SharedNoise.of(noise, length=100, carriers=1)
    assert one.scale >= 13.0 * one.reach
    four = SharedNoise.of(noise, length=100, carriers=4)
    assert four.scale == pytest.approx(one.scale / 2, rel=1e-6)


def test_the_unit_is_as_fine_as_the_sampler_allows() -> None:
    assert SharedNoise.of(NoiseMultiplier(30.0), length=10, carriers=1).bits == 20
    assert SharedNoise.of(NoiseMultiplier(33.0), length=10, carriers=1).bits == 19
    for impossible in (1e-6, 50_000.0):
        with pytest.raises(AccountingError):
            SharedNoise.of(NoiseMultiplier(impossible), length=10, carriers=1)


@pytest.mark.parametrize(
    "wrong", [{"bits": 9}, {"bits": 21}, {"length": 0}, {"carriers": 0}, {"scale": 7}], ids=str
)
def test_what_the_proofs_do_not_cover_is_refused(wrong) -> None:
    with pytest.raises(AccountingError):
        SharedNoise(**{"bits": 20, "length": 5, "carriers": 2, "scale": 100} | wrong)


@pytest.mark.parametrize("shares", [2, 3, 8])
def test_a_sum_of_shares_is_as_near_to_one_discrete_gaussian_as_proved(shares) -> None:
    # At scale 1 the difference can be seen; in use the scale is at least 8.
    share = discrete_gaussian_pmf(1, within=40)
    total = share
    for _ in range(shares - 1):
        total = np.convolve(total, share)
    points = np.arange(-(total.size // 2), total.size // 2 + 1)
    whole = np.arange(-400, 401)
    one = np.exp(-(points**2) / (2 * shares)) / np.exp(-(whole**2) / (2 * shares)).sum()
    near = np.abs(points) <= 5 * math.sqrt(shares)
    gap = np.abs(np.log(total[near] / one[near])).max()
    bound = 10 * sum(math.exp(-2 * math.pi**2 * i / (i + 1)) for i in range(1, shares))
    assert 1e-7 < gap <= bound


def test_the_gap_is_negligible_in_use_and_grows_with_all_that_is_summed() -> None:
    least = SharedNoise(bits=10, length=10**6, carriers=999, scale=8)
    assert 0 < least.log_gap(10**6).value < 1e-250
    assert least.log_gap(20).value == pytest.approx(2 * least.log_gap(10).value)
    assert SharedNoise(bits=10, length=5, carriers=1, scale=8).log_gap(5).value == 0


def test_the_gap_is_charged() -> None:
    cost = PrivacyCost(
        events=(
            GaussianEvent(noise=NoiseMultiplier(3.0)),
            JointGaussianEvent(
                sampling=SamplingRate(0.2), noise=NoiseMultiplier(4.0), departments=3, count=5
            ),
        )
    )
    gap = 0.01
    ideal = accounting.epsilon(cost, delta=Delta(1e-5 * math.exp(-gap)))
    found = shared_noise.epsilon(cost, delta=Delta(1e-5), gap=LogGap(gap))
    assert found == pytest.approx(ideal + 2 * gap, abs=1e-9)
    least = SharedNoise(bits=10, length=10**6, carriers=999, scale=8).log_gap(10**6)
    assert shared_noise.epsilon(cost, delta=Delta(1e-5), gap=least) == pytest.approx(
        accounting.epsilon(cost, delta=Delta(1e-5)), rel=1e-9
    )


def test_a_share_is_cheaper_than_noise_of_one_s_own_by_the_root_of_the_departments() -> None:
    # Sixteen departments that each add all of the noise: the sum carries four times as much.
    noise = NoiseMultiplier(10.0)
    shared = SharedNoise.of(noise, length=100, carriers=16)
    alone = SharedNoise.of(noise, length=100, carriers=1)
    assert math.sqrt(16) * shared.scale == pytest.approx(alone.scale, rel=1e-6)
