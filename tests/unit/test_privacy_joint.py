"""What secure sums with joint noise cost, beside closed forms, integrals and other accountants."""

import itertools
import json
import math

import dp_accounting
import numpy as np
import pytest
from dp_accounting import dp_event, pld, rdp
from dp_accounting.pld import privacy_loss_distribution as losses
from oracles import gaussian_epsilon
from scipy import stats

from models import documents
from models.errors import AccountingError, InvalidDocumentError
from models.governance.cost import (
    Event,
    GaussianEvent,
    JointGaussianEvent,
    NonPrivateEvent,
    PrivacyCost,
    SampledGaussianEvent,
)
from models.privacy import accounting
from models.quantities import Delta, NoiseMultiplier, SamplingRate

DELTA = Delta(1e-5)


def joint(rate: float, noise: float, departments: int, count: int) -> JointGaussianEvent:
    return JointGaussianEvent(
        sampling=SamplingRate(rate),
        noise=NoiseMultiplier(noise),
        departments=departments,
        count=count,
    )


def sampled(rate: float, noise: float, count: int) -> SampledGaussianEvent:
    return SampledGaussianEvent(
        sampling=SamplingRate(rate), noise=NoiseMultiplier(noise), count=count
    )


def gaussian(noise: float) -> GaussianEvent:
    return GaussianEvent(noise=NoiseMultiplier(noise))


def cost(*events: Event, copies: int = 1, delta: Delta = DELTA) -> float:
    return accounting.epsilon(PrivacyCost(events=events), delta=delta, copies=copies)


def chances(rate: float, departments: int) -> list[float]:
    return stats.binom.pmf(np.arange(departments + 1), departments, rate).tolist()


def theirs(event: Event) -> dp_accounting.DpEvent:
    """The event in dp-accounting's own words."""
    gauss = dp_accounting.GaussianDpEvent
    match event:
        case GaussianEvent():
            return gauss(event.noise.value)
        case JointGaussianEvent(departments=m, sampling=SamplingRate(1.0)):
            return dp_accounting.SelfComposedDpEvent(gauss(event.noise.value / m), event.count)
        case JointGaussianEvent(departments=m) if m > 1:
            times = list(range(m + 1))
            mixture = dp_event.MixtureOfGaussiansDpEvent(
                event.noise.value, times, chances(event.sampling.value, m)
            )
            return dp_accounting.SelfComposedDpEvent(mixture, event.count)
        case JointGaussianEvent() | SampledGaussianEvent():
            drawn = dp_accounting.PoissonSampledDpEvent(
                event.sampling.value, gauss(event.noise.value)
            )
            return dp_accounting.SelfComposedDpEvent(drawn, event.count)
    raise TypeError


def independent(*events: Event, interval: float = 2e-3) -> float:
    accountant = pld.PLDAccountant(value_discretization_interval=interval)
    for event in events:
        accountant.compose(theirs(event))
    return float(accountant.get_epsilon(DELTA.value))


@pytest.mark.parametrize("departments", [1, 2, 5])
@pytest.mark.parametrize(("noise", "steps"), [(60.8, 71), (8.71, 200), (1.0, 1)])
def test_a_full_batch_costs_one_gaussian_in_closed_form(noise, steps, departments) -> None:
    exact = gaussian_epsilon(1e-5, departments * math.sqrt(steps) / noise)
    for copies in {1, departments}:
        found = cost(joint(1.0, noise, departments, steps), copies=copies)
        assert exact <= found <= 1.005 * exact


GRID = [
    (joint(rate, noise * departments**0.5, departments, count),)
    for rate, noise, (departments, count) in itertools.product(
        (0.01, 0.1, 0.5), (2.5, 12.0), ((2, 200), (4, 20))
    )
]
MIXES = [
    (joint(0.05, 4.6, 3, 53), gaussian(15.0)),
    (joint(0.3, 20.0, 4, 100), joint(1.0, 90.0, 4, 2), sampled(0.2, 4.0, 50)),
    (joint(0.1, 9.0, 1, 60), joint(0.1, 9.0, 2, 60), gaussian(15.0)),
    (joint(0.1, 9.0, 2, 60), joint(0.05, 30.0, 5, 200), sampled(0.01, 1.5, 49)),
]


@pytest.mark.parametrize("events", [*GRID, *MIXES], ids=lambda events: str(len(events)))
def test_joint_sums_cost_what_dp_accounting_says(events) -> None:
    found = cost(*events)
    # Theirs rounds up too, on a grid of its own, which shows where a step costs little.
    tight = independent(*events, interval=min(2e-3, found / 500))
    assert 0.998 * tight <= found <= 1.01 * tight


@pytest.mark.parametrize("events", [*GRID[::3], MIXES[0]], ids=lambda events: str(len(events)))
def test_joint_sums_are_never_below_a_bound_from_below(events) -> None:
    interval, total = 2.0**-9, losses.identity(2.0**-9, pessimistic_estimate=False)
    for event in events:
        if isinstance(event, GaussianEvent):
            part, count = (
                losses.from_gaussian_mechanism(
                    event.noise.value,
                    value_discretization_interval=interval,
                    pessimistic_estimate=False,
                ),
                1,
            )
        else:
            m = event.departments
            part, count = (
                losses.from_mixture_gaussian_mechanism(
                    event.noise.value,
                    sensitivities=[float(k) for k in range(m + 1)],
                    sampling_probs=chances(event.sampling.value, m),
                    value_discretization_interval=interval,
                    pessimistic_estimate=False,
                ),
                event.count,
            )
        total = total.compose(part.self_compose(count))
    assert cost(*events) >= total.get_epsilon_for_delta(DELTA.value)


@pytest.mark.parametrize("rate", [1.0, 0.05])
@pytest.mark.parametrize("noise", [1.5, 10.0])
def test_rdp_is_never_below_for_residents_of_one_department(rate, noise) -> None:
    events = (gaussian(40.0), joint(rate, noise, 1, 100))
    loose = rdp.RdpAccountant().compose(dp_accounting.ComposedDpEvent([*map(theirs, events)]))
    assert independent(*events, interval=1e-4) <= cost(*events) * (1 + 1e-6)
    assert cost(*events) <= loose.get_epsilon(1e-5)


def divergence(order: int, event: JointGaussianEvent) -> float:
    """The Rényi divergence of one sum's mixture from the noise alone, in closed form.

    E(Σ_k p_k·exp((k·x - k²/2)/variance))^order over the noise, multiplied out: of a product with
    exponents that add up to S the mean is exp(S² / 2·variance).
    """
    m, variance = event.departments, event.noise.value**2
    one = [
        p * math.exp(-(k**2) / (2 * variance))
        for k, p in enumerate(chances(event.sampling.value, m))
    ]
    powers = [1.0]
    for _ in range(order):
        powers = np.convolve(powers, one)
    total = math.fsum(p * math.exp(s**2 / (2 * variance)) for s, p in enumerate(powers))
    return math.log(total) / (order - 1)


def mirrored(order: int, event: JointGaussianEvent) -> float:
    """The divergence the other way round, by summation over a fine grid."""
    noise = event.noise.value
    points = np.linspace(-30 * noise, 30 * noise + event.departments, 200_001)
    found = chances(event.sampling.value, event.departments)
    mixed = sum(p * stats.norm.pdf(points, k, noise) for k, p in enumerate(found))
    alone = stats.norm.pdf(points, 0, noise)
    logs = order * np.log(alone, where=alone > 0, out=np.full_like(alone, -np.inf))
    logs -= (order - 1) * np.log(np.maximum(mixed, 1e-300))
    return float(np.log(np.exp(logs).sum() * (points[1] - points[0])) / (order - 1))


@pytest.mark.parametrize(
    "event", [joint(0.05, 4.6, 3, 53), joint(0.3, 20.0, 4, 100), joint(0.02, 3.0, 2, 300)]
)
def test_rdp_is_never_below_for_residents_of_several_departments(event) -> None:
    orders = list(range(2, 41))
    each = [max(divergence(order, event), mirrored(order, event)) for order in orders]
    loose, _ = rdp.compute_epsilon(orders, [event.count * one for one in each], 1e-5)
    assert 0.8 * loose < cost(event) <= loose


@pytest.mark.parametrize("departments", [2, 4])
def test_one_sum_of_several_departments_is_no_cheaper_than_by_integration(departments) -> None:
    rate, noise = 0.2, 2.0
    loss = cost(joint(rate, noise, departments, 1))
    points = np.linspace(-12 * noise, departments + 12 * noise, 400_001)
    step = points[1] - points[0]
    found = chances(rate, departments)
    mixed = sum(p * stats.norm.pdf(points, k, noise) for k, p in enumerate(found))
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
    loss = cost(joint(rate, noise, 2, 1), delta=Delta(1e-3))
    for p, q in ((mixed, alone), (alone, mixed)):
        assert np.maximum(p - math.exp(loss) * q, 0).sum() * step < 1e-3


def test_departments_cost_more_with_joint_noise_than_parallel_composition_would_say() -> None:
    assert cost(joint(0.1, 20.0, 4, 50)) > 2 * cost(joint(0.1, 20.0, 1, 50))


@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_a_joint_sum_is_taken_once_and_local_sums_once_per_department(rate) -> None:
    whole, local = joint(rate, 40.0, 4, 30), sampled(0.2, 6.0, 20)
    times = cost(whole, local, copies=4)
    assert times == cost(whole, sampled(0.2, 6.0, 80))
    assert cost(whole, copies=4) == cost(whole)
    assert cost(whole, local) < times < cost(whole, whole, whole, whole, local, copies=4)


def test_a_sum_that_counts_fewer_departments_than_the_resident_is_in_is_refused() -> None:
    with pytest.raises(AccountingError, match="fewer departments"):
        cost(joint(0.1, 9.0, 3, 5), copies=4)


def test_more_of_anything_costs_more() -> None:
    base = cost(joint(0.1, 9.0, 2, 100))
    for dearer in (
        joint(0.11, 9.0, 2, 100),
        joint(0.1, 8.8, 2, 100),
        joint(0.1, 9.0, 3, 100),
        joint(0.1, 9.0, 2, 101),
    ):
        assert base < cost(dearer)


def test_neither_order_nor_grouping_matters() -> None:
    parts = (joint(0.1, 9.0, 2, 30), gaussian(9.0), joint(0.1, 9.0, 2, 70))
    assert cost(*parts) == cost(gaussian(9.0), joint(0.1, 9.0, 2, 100))
    merged = accounting.merged(PrivacyCost(events=parts))
    assert merged.events == (joint(0.1, 9.0, 2, 100), gaussian(9.0))
    assert accounting.counts(merged)[joint(0.1, 9.0, 2, 1)] == 100


def test_beside_a_release_without_noise_nothing_is_bounded() -> None:
    assert cost(joint(0.1, 2.0, 2, 5), NonPrivateEvent()) == math.inf


def test_a_joint_event_is_a_document_and_none_counts_nobody() -> None:
    whole = PrivacyCost(events=(joint(0.1, 9.0, 2, 30), gaussian(9.0)))
    content = documents.write(whole)
    assert documents.read(PrivacyCost, json.loads(content), what="a cost") == whole
    for wrong in ({"departments": 0}, {"departments": 1.5}, {"count": 0}, {"sampling": 0}):
        value = json.loads(content)
        value["events"][0] |= wrong
        with pytest.raises(InvalidDocumentError):
            documents.read(PrivacyCost, value, what="a cost")
