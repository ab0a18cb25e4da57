import math
import time

import pytest
import studies

from models.errors import AccountingError, BudgetExhaustedError, UsageError
from models.governance.cost import (
    GaussianEvent,
    NonPrivateEvent,
    PrivacyCost,
    SampledGaussianEvent,
)
from models.privacy import accounting
from models.privacy.calibration import COUNT_SHARE, SMALLEST_NOISE, calibrate
from models.privacy.plan import check, plan
from models.quantities import Delta, Epsilon, NoiseMultiplier, SamplingRate

STUDY = studies.study()


def total(parts: list[PrivacyCost]) -> PrivacyCost:
    return sum(parts[1:], start=parts[0])


def test_the_parts_add_up_to_the_whole() -> None:
    made = plan(STUDY)
    rounds = STUDY.training.rounds + STUDY.privacy.spare_rounds
    # The first round comes twice: the spare one was used for it, and drew the count again.
    used = [made.round_cost(first=True)] * 2 + [made.round_cost(first=False)] * (rounds - 2)
    assert accounting.counts(total(used)) == accounting.counts(made.whole_cost())
    twice = made.evaluation_cost() + made.evaluation_cost()
    assert twice == made.whole_evaluation_cost()


def test_a_round_costs_its_steps_and_the_first_also_the_count() -> None:
    made = plan(STUDY)
    steps = SampledGaussianEvent(
        sampling=STUDY.training.sampling_rate, noise=made.training, count=STUDY.training.steps
    )
    assert made.round_cost(first=False).events == (steps,)
    assert made.round_cost(first=True).events == (GaussianEvent(noise=made.count), steps)


def test_the_total_is_the_dearer_of_training_and_evaluation_and_at_most_epsilon() -> None:
    made = plan(STUDY)
    costs = [
        accounting.epsilon(cost, delta=STUDY.privacy.delta, copies=made.departments)
        for cost in (made.whole_cost(), made.whole_evaluation_cost())
    ]
    assert made.total(STUDY) == max(costs) <= STUDY.privacy.epsilon.value


def test_the_count_uses_its_share() -> None:
    made = plan(STUDY)
    counts = PrivacyCost(events=(GaussianEvent(noise=made.count),) * made.draws)
    price = accounting.epsilon(counts, delta=STUDY.privacy.delta, copies=made.departments)
    limit = COUNT_SHARE * STUDY.privacy.epsilon.value
    assert 0.99 * limit < price <= limit


def test_a_count_costs_the_training_little() -> None:
    made = plan(STUDY)
    steps = SampledGaussianEvent(
        sampling=made.sampling, noise=made.training, count=made.steps * made.attempts
    )
    alone = accounting.epsilon(PrivacyCost(events=(steps,)), delta=STUDY.privacy.delta)
    assert alone > 0.95 * STUDY.privacy.epsilon.value


def test_noise_is_a_decimal_of_four_digits() -> None:
    made = plan(studies.study(privacy={"epsilon": Epsilon(math.pi)}))
    for noise in (made.training, made.count, made.evaluation):
        assert noise is not None
        assert float(f"{noise.value:.4g}") == noise.value


def test_without_spare_rounds_nothing_is_set_aside() -> None:
    bare = plan(studies.study(privacy={"spare_rounds": 0}))
    spare = plan(STUDY)
    assert (bare.draws, bare.attempts) == (1, STUDY.training.rounds)
    assert bare.training < spare.training
    assert bare.count < spare.count
    assert bare.evaluation < spare.evaluation


def test_departments_that_share_residents_need_more_noise() -> None:
    one = plan(STUDY)
    three = plan(studies.study(privacy={"departments_per_resident": None}))
    assert (one.departments, three.departments) == (1, 3)
    # Independent releases compose: √3 times the noise where everybody is in every sum.
    assert three.evaluation.value == pytest.approx(math.sqrt(3) * one.evaluation.value, rel=2e-3)
    assert three.training > one.training


def test_more_departments_per_resident_than_departments_change_nothing() -> None:
    most = studies.study(privacy={"departments_per_resident": 50})
    assert plan(most) == plan(studies.study(privacy={"departments_per_resident": None}))


def test_no_protection_has_no_noise_and_costs_infinitely_much() -> None:
    study = studies.public_study()
    made = plan(study)
    assert (made.training, made.count, made.evaluation) == (None, None, None)
    unprotected = PrivacyCost(events=(NonPrivateEvent(),))
    assert made.round_cost(first=True) == made.round_cost(first=False) == unprotected
    assert made.evaluation_cost() == made.whole_cost() == unprotected
    assert made.total(study) == math.inf
    check(study, training=unprotected + unprotected, evaluation=unprotected)


def test_a_generous_epsilon_still_gets_the_smallest_noise() -> None:
    training = {"rounds": 1, "steps": 1, "sampling_rate": SamplingRate(0.001)}
    generous = studies.study(training=training, privacy={"epsilon": Epsilon(90.0)})
    made = plan(generous)
    assert made.training == SMALLEST_NOISE
    assert made.total(generous) <= 90.0


def test_an_epsilon_that_no_noise_can_keep_is_refused() -> None:
    training = {"rounds": 1000, "steps": 1000, "sampling_rate": SamplingRate(1.0)}
    hopeless = studies.study(training=training, privacy={"epsilon": Epsilon(1e-3)})
    with pytest.raises(UsageError, match="no reasonable amount of noise") as caught:
        plan(hopeless)
    assert "raise ε" in caught.value.hint


def test_plans_are_computed_anew_to_the_same_result() -> None:
    first = plan(STUDY)
    calibrate.cache_clear()
    plan.cache_clear()
    assert plan(STUDY) == first
    assert plan(STUDY) is plan(STUDY)


def test_what_the_noise_does_not_depend_on_does_not_change_it() -> None:
    other = studies.study(training={"learning_rate": 0.1, "weights": "equal"}, retention_days=9)
    assert plan(other) == plan(STUDY)


def test_thousands_of_steps_are_calibrated_in_seconds() -> None:
    training = {"rounds": 100, "steps": 50, "sampling_rate": SamplingRate(0.01)}
    long = studies.study(training=training, privacy={"spare_rounds": 0})
    start = time.perf_counter()
    plan(long)
    assert time.perf_counter() - start < 20  # about one on a quiet machine


def spent(*, rounds: int, counts: int) -> PrivacyCost:
    made = plan(STUDY)
    first = [made.round_cost(first=True)] * counts
    return total(first + [made.round_cost(first=False)] * (rounds - counts))


@pytest.mark.parametrize(("rounds", "counts"), [(1, 0), (1, 1), (3, 1), (4, 2)])
def test_spending_inside_the_plan_is_allowed(rounds: int, counts: int) -> None:
    check(STUDY, training=spent(rounds=rounds, counts=counts))
    check(STUDY, training=accounting.merged(spent(rounds=rounds, counts=counts)))
    check(STUDY, evaluation=plan(STUDY).evaluation_cost())
    check(STUDY)


@pytest.mark.parametrize(("rounds", "counts"), [(5, 1), (3, 3), (100, 1)])
def test_spending_outside_the_plan_is_refused(rounds: int, counts: int) -> None:
    with pytest.raises(BudgetExhaustedError, match="training of the study pupils-pass"):
        check(STUDY, training=spent(rounds=rounds, counts=counts))


def test_a_third_evaluation_is_refused() -> None:
    made = plan(STUDY)
    check(STUDY, evaluation=made.whole_evaluation_cost())
    with pytest.raises(BudgetExhaustedError, match="evaluation of the study"):
        check(STUDY, evaluation=made.whole_evaluation_cost() + made.evaluation_cost())


@pytest.mark.parametrize(
    "foreign",
    [
        NonPrivateEvent(),
        GaussianEvent(noise=NoiseMultiplier(10_000.0)),
        SampledGaussianEvent(sampling=SamplingRate(0.2), noise=NoiseMultiplier(10_000.0), count=1),
    ],
)
def test_an_event_that_the_plan_does_not_have_is_refused_however_cheap(foreign) -> None:
    with pytest.raises(BudgetExhaustedError):
        check(STUDY, training=spent(rounds=1, counts=1) + PrivacyCost(events=(foreign,)))


def test_noise_of_a_public_study_is_not_accepted_as_its_spending() -> None:
    with pytest.raises(BudgetExhaustedError):
        check(studies.public_study(), training=spent(rounds=1, counts=1))


def test_a_delta_that_cannot_be_accounted_for_is_refused() -> None:
    with pytest.raises(AccountingError, match="smaller than what can be"):
        plan(studies.study(privacy={"delta": Delta(1e-12)}))
