"""What charges add up to, against closed forms and dp-accounting's own accountants."""

import itertools
import math

import dp_accounting
import pytest
from dp_accounting import dp_event
from dp_accounting.pld import PLDAccountant
from scipy import optimize, stats

from models.errors import AccountingError
from models.governance.cost import (
    Event,
    GaussianEvent,
    JointGaussianEvent,
    NonPrivateEvent,
    PrivacyCost,
    SampledGaussianEvent,
)
from models.ledger.account import Account
from models.ledger.entries import Part
from models.ledger.spending import epsilon
from models.quantities import Delta, NoiseMultiplier, SamplingRate

DELTA = Delta(1e-6)
STEPS = SampledGaussianEvent(sampling=SamplingRate(0.1), noise=NoiseMultiplier(1.5), count=60)
FEW = SampledGaussianEvent(sampling=SamplingRate(0.02), noise=NoiseMultiplier(0.8), count=3)
SUMS = JointGaussianEvent(
    sampling=SamplingRate(1.0), noise=NoiseMultiplier(60.0), departments=3, count=71
)
DRAWN = JointGaussianEvent(
    sampling=SamplingRate(0.1), noise=NoiseMultiplier(9.0), departments=2, count=60
)
COUNT = GaussianEvent(noise=NoiseMultiplier(2.0))


def account(*studies: dict[Part, tuple[Event, ...]]) -> Account:
    found = Account()
    for number, parts in enumerate(studies):
        for part, events in parts.items():
            found.add(str(number), part, PrivacyCost(events=events))
    return found


def train(*events: Event) -> dict[Part, tuple[Event, ...]]:
    return {Part.TRAINING: events}


def independent(events: list[Event]) -> float:
    """dp-accounting's accountant, fed with its own events, finely discretised."""
    fine = 1e-3 if DRAWN in events else 1e-4  # a mixture takes it long
    accountant = PLDAccountant(value_discretization_interval=fine)
    for event in events:
        if isinstance(event, GaussianEvent):
            accountant.compose(dp_accounting.GaussianDpEvent(event.noise.value))
        elif isinstance(event, JointGaussianEvent):
            m, rate = event.departments, event.sampling.value
            chances = stats.binom.pmf(range(m + 1), m, rate).tolist()
            mixture = dp_event.MixtureOfGaussiansDpEvent(
                event.noise.value, list(range(m + 1)), chances
            )
            accountant.compose(mixture, event.count)
        else:
            gaussian = dp_accounting.GaussianDpEvent(event.noise.value)
            sampled = dp_accounting.PoissonSampledDpEvent(event.sampling.value, gaussian)
            accountant.compose(sampled, event.count)
    return float(accountant.get_epsilon(DELTA.value))


def gaussian_epsilon(precision: float, delta: float) -> float:
    """Balle and Wang 2018: the exact ε of a Gaussian mechanism of noise precision^-1/2."""
    m = math.sqrt(precision)

    def excess(e: float) -> float:
        return float(
            stats.norm.cdf(m / 2 - e / m) - math.exp(e) * stats.norm.cdf(-m / 2 - e / m) - delta
        )

    return float(optimize.brentq(excess, 0, 100, xtol=1e-12))


@pytest.mark.parametrize(
    "studies",
    [
        (train(STEPS),),
        (train(STEPS), train(STEPS)),
        (train(STEPS, COUNT), train(FEW), train(COUNT)),
        (train(FEW), train(FEW)),
        (train(STEPS), train(FEW), {Part.EVALUATION: (COUNT,)}),
        (train(SUMS), train(SUMS), train(STEPS)),
        (train(DRAWN, COUNT), train(SUMS)),
    ],
)
def test_studies_add_up_as_in_an_independent_accountant(
    studies: tuple[dict[Part, tuple[Event, ...]], ...],
) -> None:
    found = epsilon(account(*studies), delta=DELTA)
    expected = independent([e for parts in studies for events in parts.values() for e in events])
    assert expected <= found * (1 + 1e-5)  # the other one is itself an upper bound
    assert found <= expected * 1.01


def test_gaussians_add_up_as_in_the_closed_form_and_never_below() -> None:
    for number in (1, 3, 12):
        found = epsilon(account(*[train(COUNT)] * number), delta=DELTA)
        exact = gaussian_epsilon(number / COUNT.noise.value**2, DELTA.value)
        assert exact <= found <= exact * 1.003


def test_a_resident_is_where_each_study_costs_most() -> None:
    """Never below the worst of all ways to be in training or evaluation of each study."""
    studies = (
        {Part.TRAINING: (STEPS,), Part.EVALUATION: (COUNT,)},
        {Part.TRAINING: (FEW,), Part.EVALUATION: (GaussianEvent(noise=NoiseMultiplier(3.0)),)},
        {Part.TRAINING: (COUNT,), Part.EVALUATION: (STEPS,)},
    )
    found = epsilon(account(*studies), delta=DELTA)
    ways = itertools.product(*(list(parts.values()) for parts in studies))
    worst = max(independent([e for events in way for e in events]) for way in ways)
    both = independent([e for parts in studies for events in parts.values() for e in events])
    assert worst * (1 - 1e-5) <= found <= worst * 1.08
    assert found < both  # not as if one resident were in both parts


def test_nothing_costs_nothing_and_no_noise_has_no_bound() -> None:
    assert epsilon(Account(), delta=DELTA) == 0
    assert epsilon(account(train(STEPS), train(NonPrivateEvent())), delta=DELTA) == math.inf
    loud = GaussianEvent(noise=NoiseMultiplier(0.02))
    assert epsilon(account(train(STEPS), train(loud)), delta=DELTA) == math.inf


def test_a_delta_that_cannot_be_accounted_for_is_refused() -> None:
    with pytest.raises(AccountingError, match="smaller"):
        epsilon(account(train(STEPS)), delta=Delta(1e-10))


def test_an_account_within_another_never_costs_more() -> None:
    small, large = account(train(STEPS)), account(train(STEPS, COUNT), train(FEW))
    assert small.within(large)
    assert not large.within(small)
    assert epsilon(small, delta=DELTA) <= epsilon(large, delta=DELTA)
    other_part = account({Part.EVALUATION: (STEPS,)})
    assert not other_part.within(small)


def test_many_studies_are_added_up() -> None:
    quiet = GaussianEvent(noise=NoiseMultiplier(300.0))
    found = epsilon(account(*[train(quiet)] * 1200), delta=DELTA)
    exact = gaussian_epsilon(1200 / 300.0**2, DELTA.value)
    assert exact <= found <= exact * 1.2
