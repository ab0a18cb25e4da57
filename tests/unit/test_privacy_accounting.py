import math
from dataclasses import dataclass

import dp_accounting
import pytest
from dp_accounting.rdp import RdpAccountant
from oracles import gaussian_delta, gaussian_epsilon

from models.errors import AccountingError, BudgetExhaustedError
from models.governance.cost import (
    GaussianEvent,
    NonPrivateEvent,
    PrivacyCost,
    SampledGaussianEvent,
)
from models.privacy import accounting
from models.quantities import Delta, Epsilon, NoiseMultiplier, SamplingRate

DELTA = Delta(1e-5)


def gaussian(*noises: float) -> PrivacyCost:
    return PrivacyCost(
        events=tuple(GaussianEvent(noise=NoiseMultiplier(noise)) for noise in noises)
    )


def sampled(rate: float, noise: float, count: int) -> PrivacyCost:
    event = SampledGaussianEvent(
        sampling=SamplingRate(rate), noise=NoiseMultiplier(noise), count=count
    )
    return PrivacyCost(events=(event,))


@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-9])
@pytest.mark.parametrize("mu", [0.001, 0.05, 0.3, 1.0, 3.0, 9.0])
def test_full_batches_cost_what_the_closed_form_says(mu: float, delta: float) -> None:
    found = accounting.epsilon(gaussian(1 / mu), delta=Delta(delta))
    exact = gaussian_epsilon(delta, mu)
    assert exact <= found <= exact * 1.005 + 1e-4
    assert gaussian_delta(found, mu) <= delta


@pytest.mark.parametrize("copies", [1, 3, 16])
def test_full_batches_compose_like_one_gaussian(copies: int) -> None:
    cost = sampled(1.0, 40.0, 100) + gaussian(10.0, 25.0)
    mu = math.sqrt(copies * (100 / 40**2 + 1 / 10**2 + 1 / 25**2))
    exact = gaussian_epsilon(1e-5, mu)
    assert exact <= accounting.epsilon(cost, delta=DELTA, copies=copies) <= exact * 1.005


def rdp_epsilon(cost: PrivacyCost, copies: int) -> float:
    # Orders are integers: there the discrete Gaussian's divergences are the continuous one's.
    accountant = RdpAccountant(orders=list(range(2, 129)))
    for event in cost.events:
        if isinstance(event, SampledGaussianEvent):
            single = dp_accounting.PoissonSampledDpEvent(
                event.sampling.value, dp_accounting.GaussianDpEvent(event.noise.value)
            )
            accountant.compose(single, event.count * copies)
        elif isinstance(event, GaussianEvent):
            accountant.compose(dp_accounting.GaussianDpEvent(event.noise.value), copies)
    return float(accountant.get_epsilon(1e-5))


@pytest.mark.parametrize(
    "cost",
    [
        sampled(0.05, 1.0, 300),
        sampled(0.01, 0.7, 3000),
        sampled(0.3, 5.0, 300) + gaussian(20.0),
        sampled(0.5, 10.0, 100) + sampled(0.1, 3.0, 50),
        sampled(1.0, 20.0, 200),
        sampled(0.2, 200.0, 5000),
    ],
)
@pytest.mark.parametrize("copies", [1, 4])
def test_renyi_accounting_agrees_and_is_looser(cost: PrivacyCost, copies: int) -> None:
    found = accounting.epsilon(cost, delta=DELTA, copies=copies)
    assert 0.8 * rdp_epsilon(cost, copies) < found <= rdp_epsilon(cost, copies)


def test_sampling_amplifies_and_more_of_everything_costs_more() -> None:
    def price(rate: float, noise: float, count: int, copies: int = 1) -> float:
        return accounting.epsilon(sampled(rate, noise, count), delta=DELTA, copies=copies)

    base = price(0.1, 2.0, 100)
    assert base < price(1.0, 2.0, 100)
    for dearer in (
        price(0.11, 2.0, 100),
        price(0.1, 1.9, 100),
        price(0.1, 2.0, 101),
        price(0.1, 2.0, 100, 2),
    ):
        assert base < dearer
    assert price(0.1, 2.0, 100, 2) == price(0.1, 2.0, 200)


def test_neither_order_nor_grouping_of_events_matters() -> None:
    one, other = sampled(0.1, 2.0, 30), gaussian(9.0)
    many = sampled(0.1, 2.0, 10) + other + sampled(0.1, 2.0, 20)
    assert accounting.epsilon(one + other, delta=DELTA) == accounting.epsilon(many, delta=DELTA)


def test_a_release_without_noise_costs_infinitely_much() -> None:
    cost = gaussian(1.0) + PrivacyCost(events=(NonPrivateEvent(),))
    assert accounting.epsilon(cost, delta=DELTA) == math.inf
    with pytest.raises(BudgetExhaustedError):
        accounting.check(cost, limit=Epsilon(100.0), delta=DELTA)


@dataclass(frozen=True)
class LaplaceEvent:
    """An event of a later version."""

    kind: str = "laplace"


def test_an_unknown_event_is_refused_even_beside_a_non_private_one() -> None:
    cost = PrivacyCost(events=(NonPrivateEvent(), LaplaceEvent()))
    with pytest.raises(AccountingError, match="LaplaceEvent is not known") as caught:
        accounting.epsilon(cost, delta=DELTA)
    assert "version" in caught.value.hint


def test_what_cannot_be_accounted_for_is_refused() -> None:
    with pytest.raises(AccountingError, match="smaller than what can be"):
        accounting.epsilon(gaussian(1.0), delta=Delta(1e-11))
    with pytest.raises(AccountingError, match="at least once"):
        accounting.epsilon(gaussian(1.0), delta=DELTA, copies=0)


def test_a_cost_is_checked_against_its_limit() -> None:
    cost = gaussian(5.0)
    price = accounting.epsilon(cost, delta=DELTA)
    assert accounting.check(cost, limit=Epsilon(price), delta=DELTA) == price
    with pytest.raises(BudgetExhaustedError, match="above the"):
        accounting.check(cost, limit=Epsilon(math.nextafter(price, 0)), delta=DELTA)


def test_a_cost_so_small_that_epsilon_is_zero_is_rounded_up() -> None:
    assert 0 < accounting.epsilon(gaussian(1e6), delta=Delta(1e-3)) < 1e-3


def test_equal_events_are_merged() -> None:
    cost = gaussian(9.0) + sampled(0.1, 2.0, 5) + gaussian(9.0) + sampled(0.1, 2.0, 7)
    merged = accounting.merged(cost)
    assert merged == gaussian(9.0, 9.0) + sampled(0.1, 2.0, 12)
    assert accounting.counts(merged) == accounting.counts(cost)
    assert (
        accounting.merged(PrivacyCost(events=(NonPrivateEvent(),) * 3)).events
        == (NonPrivateEvent(),) * 3
    )
