"""Shared noise: who adds how much, what it costs, and that nothing is won by sharing."""

import math

import dp_accounting
import numpy as np
import pytest
from dp_accounting import dp_event, pld, rdp
from fits import discrete_gaussian_pmf
from oracles import gaussian_epsilon
from scipy import stats

from models.errors import AccountingError
from models.governance.cost import GaussianEvent, NonPrivateEvent, SampledGaussianEvent
from models.privacy import shared_noise
from models.privacy.shared_noise import LogGap, MixtureGaussianEvent, SharedNoise
from models.quantities import Delta, NoiseMultiplier, SamplingRate

DELTA = Delta(1e-5)
NO_GAP = LogGap(0.0)


def mixture(rate: float, noise: float, departments: int, count: int) -> MixtureGaussianEvent:
    return MixtureGaussianEvent(
        sampling=SamplingRate(rate),
        noise=NoiseMultiplier(noise),
        departments=departments,
        count=count,
    )


def cost(*events: object, gap: float = 0.0) -> float:
    return shared_noise.epsilon(events, delta=DELTA, gap=LogGap(gap))


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
    event = GaussianEvent(noise=NoiseMultiplier(3.0))
    gap = 0.01
    ideal = shared_noise.epsilon((event,), delta=Delta(1e-5 * math.exp(-gap)), gap=NO_GAP)
    assert cost(event, gap=gap) == pytest.approx(ideal + 2 * gap, abs=1e-9)


@pytest.mark.parametrize("departments", [1, 2, 5])
@pytest.mark.parametrize(("noise", "steps"), [(60.8, 71), (8.71, 200), (1.0, 1)])
def test_a_full_batch_costs_one_gaussian_in_closed_form(noise, steps, departments) -> None:
    event = shared_noise.event(
        NoiseMultiplier(noise),
        sampling=SamplingRate(1.0),
        departments=departments,
        count=steps,
    )
    exact = gaussian_epsilon(1e-5, departments * math.sqrt(steps) / noise)
    assert exact <= cost(event) <= 1.01 * exact


@pytest.mark.parametrize("rate", [1.0, 0.05])
@pytest.mark.parametrize("noise", [1.5, 10.0])
def test_rdp_is_never_below_and_an_independent_computation_never_above(rate, noise) -> None:
    event = shared_noise.event(
        NoiseMultiplier(noise), sampling=SamplingRate(rate), departments=1, count=100
    )
    histogram = GaussianEvent(noise=NoiseMultiplier(40.0))
    found = cost(histogram, event)
    theirs = dp_accounting.ComposedDpEvent(
        [
            dp_accounting.GaussianDpEvent(40.0),
            dp_accounting.SelfComposedDpEvent(
                dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(noise)),
                100,
            ),
        ]
    )
    tight = pld.PLDAccountant(value_discretization_interval=1e-4).compose(theirs).get_epsilon(1e-5)
    loose = rdp.RdpAccountant().compose(theirs).get_epsilon(1e-5)
    assert tight <= found * (1 + 1e-6)
    assert found <= 1.01 * tight
    assert loose >= found


@pytest.mark.parametrize(
    ("rate", "noise", "departments", "count"),
    [(0.05, 4.6, 3, 53), (0.3, 20.0, 4, 100), (0.1, 1.8, 2, 20), (0.01, 1.5, 4, 49)],
)
def test_several_departments_cost_what_dp_accounting_says(rate, noise, departments, count) -> None:
    found = cost(
        GaussianEvent(noise=NoiseMultiplier(15.0)), mixture(rate, noise, departments, count)
    )
    times = list(range(departments + 1))
    event = dp_event.MixtureOfGaussiansDpEvent(
        noise, times, stats.binom.pmf(times, departments, rate).tolist()
    )
    theirs = dp_accounting.ComposedDpEvent(
        [dp_accounting.GaussianDpEvent(15.0), dp_accounting.SelfComposedDpEvent(event, count)]
    )
    tight = pld.PLDAccountant(value_discretization_interval=2e-3).compose(theirs).get_epsilon(1e-5)
    # Theirs rounds up too, on its own grid: hence the thousandth.
    assert 0.999 * tight <= found <= 1.01 * tight


@pytest.mark.parametrize("departments", [2, 4])
def test_one_step_of_several_departments_is_no_cheaper_than_by_integration(departments) -> None:
    rate, noise = 0.2, 2.0
    event = mixture(rate, noise, departments, 1)
    loss = cost(event)
    points = np.linspace(-12 * noise, departments + 12 * noise, 400_001)
    step = points[1] - points[0]
    chances = stats.binom.pmf(np.arange(departments + 1), departments, rate)
    mixed = sum(p * stats.norm.pdf(points, k, noise) for k, p in enumerate(chances))
    alone = stats.norm.pdf(points, 0, noise)
    deltas = [
        float(np.maximum(a - math.exp(loss) * b, 0).sum() * step)
        for a, b in ((mixed, alone), (alone, mixed))
    ]
    assert max(deltas) <= 1e-5 * 1.001
    assert max(deltas) >= 1e-5 * 0.9


def test_vectors_that_point_apart_cost_no_more_than_parallel_ones() -> None:
    # Two departments, contributions at right angles: a mixture in two dimensions.
    rate, noise = 0.3, 1.5
    grid = np.linspace(-9, 10, 1200)
    step = (grid[1] - grid[0]) ** 2
    one = {shift: stats.norm.pdf(grid, shift, noise) for shift in (0, 1)}
    alone = np.outer(one[0], one[0])
    mixed = sum(
        (rate if a else 1 - rate) * (rate if b else 1 - rate) * np.outer(one[a], one[b])
        for a in (0, 1)
        for b in (0, 1)
    )
    loss = shared_noise.epsilon((mixture(rate, noise, 2, 1),), delta=Delta(1e-3), gap=NO_GAP)
    for p, q in ((mixed, alone), (alone, mixed)):
        assert np.maximum(p - math.exp(loss) * q, 0).sum() * step < 1e-3


def test_departments_cost_more_with_joint_noise_than_parallel_composition_would_say() -> None:
    once, four = (
        shared_noise.event(
            NoiseMultiplier(20.0), sampling=SamplingRate(rate), departments=m, count=50
        )
        for rate, m in ((0.1, 1), (0.1, 4))
    )
    assert isinstance(once, SampledGaussianEvent)
    assert isinstance(four, MixtureGaussianEvent)
    assert cost(four) > 2 * cost(once)


def test_events_that_are_not_joint_or_not_private_do_not_go_with_mixtures() -> None:
    sampled = SampledGaussianEvent(sampling=SamplingRate(0.5), noise=NoiseMultiplier(2.0), count=3)
    for other in (sampled, NonPrivateEvent()):
        with pytest.raises(AccountingError):
            cost(other, mixture(0.1, 2.0, 2, 5))


def test_a_share_is_cheaper_than_noise_of_one_s_own_by_the_root_of_the_departments() -> None:
    # Sixteen departments that each add all of the noise: the sum carries four times as much.
    noise = NoiseMultiplier(10.0)
    shared = SharedNoise.of(noise, length=100, carriers=16)
    alone = SharedNoise.of(noise, length=100, carriers=1)
    assert math.sqrt(16) * shared.scale == pytest.approx(alone.scale, rel=1e-6)
