"""Plans of training with a secure sum: what they cost, and that their parts cannot disagree."""

import json
import math
from dataclasses import replace

import dp_accounting
import pytest
import trainings
from dp_accounting import pld
from oracles import gaussian_delta, gaussian_epsilon
from scripted import ScriptedEntropy

from models import documents
from models.errors import BudgetExhaustedError, UsageError
from models.quantities import ClipNorm, Delta, Epsilon, NoiseMultiplier, NoiseVariance, SamplingRate
from models.secagg.rings import Ring, SumMayWrapError
from models.training import plan as plans
from models.training import recipe
from models.training.plan import TrainingPlan
from models.training.recipe import Recipe
from models.training.terms import GaussianMu, Terms

ADULT = {"residents": 32_561, "carriers": 4}


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 1.0, 8.0, 40.0])
@pytest.mark.parametrize("delta", [1e-9, 1e-5, 1e-3])
def test_mu_is_the_one_whose_curve_goes_through_the_point(epsilon, delta) -> None:
    mu = GaussianMu.of(Epsilon(epsilon), Delta(delta)).value
    assert gaussian_delta(epsilon, mu) == pytest.approx(delta, rel=1e-6)


@pytest.mark.parametrize(
    ("epsilon", "residents", "steps", "rate"),
    [
        (1.0, 32_561, 104, 0.4975),
        (8.0, 32_561, 200, 0.5),
        (1.0, 2000, 26, 0.0613),
        (1.0, 50, 25, 0.05),
    ],
)
def test_the_recipe_follows_from_public_numbers(epsilon, residents, steps, rate) -> None:
    found = Recipe.of(trainings.terms(epsilon=epsilon, residents=residents, carriers=4))
    assert (found.steps, found.clip) == (steps, ClipNorm(4.0))
    assert found.rate == pytest.approx(rate, abs=1e-3)


def test_noise_that_departments_or_colluders_cost_counts_in_the_recipe() -> None:
    usual = Recipe.of(trainings.terms(**ADULT))
    for weaker in ({"departments": 3}, {"carriers": 1}, {"holdout": 0.5}):
        found = Recipe.of(trainings.terms(**ADULT | weaker))
        assert found.steps < usual.steps
        assert found.rate < usual.rate


@pytest.mark.parametrize(
    ("epsilon", "residents", "hidden", "steps", "rate"),
    [
        (1.0, 32_561, (64,), 200, 0.05),
        (0.5, 32_561, (64,), 152, 0.05),
        (1.0, 2000, (64,), 100, 0.0259),
        (1.0, 2000, (), 100, 0.0518),
        (8.0, 32_561, (), 200, 0.1),
    ],
)
def test_a_network_has_a_recipe_of_its_own(epsilon, residents, hidden, steps, rate) -> None:
    shape = replace(trainings.NETWORK, hidden=hidden)
    found = Recipe.of(
        trainings.terms(epsilon=epsilon, residents=residents, carriers=4, shape=shape)
    )
    assert (found.steps, found.clip) == (steps, ClipNorm(2.0))
    assert found.rate == pytest.approx(rate, abs=1e-4)


def test_a_network_has_no_histogram_and_an_additive_model_has_one() -> None:
    network = plans.make(trainings.terms(shape=trainings.NETWORK, holdout=0.2, spare=1))
    assert network.histogram is None
    assert next(iter(network.sums)) == "train/1"
    assert [event.count for event in network.training_events()] == [network.recipe.steps + 1]
    with pytest.raises(UsageError):
        network.histogram_event()
    with pytest.raises(UsageError):
        _ = network.histogram_bound
    additive = plans.make(trainings.terms())
    for made, histogram in ((network, additive.histogram), (additive, None)):
        with pytest.raises(UsageError, match="histogram"):
            replace(made, histogram=histogram)


def test_the_floor_is_the_noise_where_that_is_larger() -> None:
    assert recipe.floor(2000, NoiseVariance(69.0**2)) == 69
    assert recipe.floor(32_561, NoiseVariance(69.0**2)) == 200
    assert recipe.floor(2000, NoiseVariance(4.0)) == 20


CASES = {
    "plain": {},
    "strong": {"epsilon": 0.1},
    "weak": {"epsilon": 8.0},
    "several departments": {"departments": 3},
    "two departments": {"cohort": 2, "carriers": 1, "departments": 2},
    "held out": {"holdout": 0.2, "spare": 7},
    "sampled": {"sampling": 0.05},
    "network": {"shape": trainings.NETWORK},
    "sampled network": {"shape": trainings.NETWORK, "sampling": 0.1, "holdout": 0.2, "spare": 2},
    "sampled, several departments": {"sampling": 0.2, "departments": 3},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_plan_keeps_its_epsilon_and_uses_it(case) -> None:
    made = plans.make(trainings.terms(**case))
    wanted = made.terms.epsilon.value
    assert 0.995 * wanted <= made.training_epsilon() <= wanted
    held_out = made.evaluation_epsilon()
    assert 0.995 * wanted <= held_out <= wanted if "holdout" in case else held_out == 0


@pytest.mark.parametrize("case", ["plain", "strong", "weak", "several departments"])
def test_a_full_batch_costs_what_the_closed_form_says(case) -> None:
    made = plans.make(trainings.terms(**CASES[case]))
    m, steps = made.terms.departments, made.recipe.steps
    squared = (m / made.histogram.noise.value) ** 2 + steps * (m / made.gradient.noise.value) ** 2
    exact = gaussian_epsilon(1e-5, math.sqrt(squared))
    assert exact <= made.training_epsilon() <= 1.01 * exact
    assert (m / made.histogram.noise.value) ** 2 / squared == pytest.approx(0.05, rel=0.02)


def test_a_sampled_plan_costs_what_dp_accounting_says() -> None:
    made = plans.make(trainings.terms(sampling=0.05, spare=3))
    event = dp_accounting.ComposedDpEvent(
        [
            dp_accounting.SelfComposedDpEvent(
                dp_accounting.GaussianDpEvent(made.histogram.noise.value), 2
            ),
            dp_accounting.SelfComposedDpEvent(
                dp_accounting.PoissonSampledDpEvent(
                    0.05, dp_accounting.GaussianDpEvent(made.gradient.noise.value)
                ),
                made.recipe.steps + 3,
            ),
        ]
    )
    theirs = pld.PLDAccountant(value_discretization_interval=1e-4).compose(event).get_epsilon(1e-5)
    assert theirs <= made.training_epsilon() * (1 + 1e-6)
    assert made.training_epsilon() <= 1.01 * theirs


def test_the_noise_that_is_left_without_the_colluders_is_the_one_accounted_for() -> None:
    for carriers in (1, 2, 3, 4):
        made = plans.make(trainings.terms(carriers=carriers))
        for part in (made.histogram, made.gradient):
            remaining = math.sqrt(carriers * part.scale**2 - 16)
            assert part.noise.value * part.reach <= remaining


def test_several_departments_pay_jointly() -> None:
    one, three = (plans.make(trainings.terms(departments=m)) for m in (1, 3))
    per_step = one.gradient.noise.value / math.sqrt(one.recipe.steps)
    joint = three.gradient.noise.value / math.sqrt(three.recipe.steps)
    assert joint == pytest.approx(3 * per_step, rel=1e-3)


def changed(made: TrainingPlan, **changes: object) -> TrainingPlan:
    return replace(made, **changes)


def test_no_part_of_a_plan_can_be_changed_alone() -> None:
    made = plans.make(trainings.terms(epsilon=0.5, departments=2, holdout=0.1))
    terms, gradient, evaluation = made.terms, made.gradient, made.evaluation
    too_cheap = [
        {"terms": replace(terms, epsilon=Epsilon(0.45))},
        {"terms": replace(terms, delta=Delta(1e-6))},
        {"terms": replace(terms, departments=3)},
        {"terms": replace(terms, spare=20)},
        {"recipe": replace(made.recipe, steps=made.recipe.steps + 5)},
        {"gradient": replace(gradient, scale=gradient.scale * 99 // 100)},
        {"histogram": replace(made.histogram, scale=made.histogram.scale // 2)},
        {"evaluation": replace(evaluation, scale=evaluation.scale * 99 // 100)},
        {"gradient": replace(gradient, bits=gradient.bits + 1)},
    ]
    for change in too_cheap:
        with pytest.raises(BudgetExhaustedError):
            changed(made, **change)
    contradictions = [
        {"terms": replace(terms, carriers=2)},
        {"terms": replace(terms, shape=replace(terms.shape, levels=14))},
        {"gradient": replace(gradient, carriers=4)},
        {"gradient": replace(gradient, length=gradient.length + 1)},
        {"evaluation": None},
        {"terms": replace(terms, holdout=type(terms.holdout)(0.0))},
        {"recipe": replace(made.recipe, steps=0)},
        {"recipe": replace(made.recipe, rate=math.nan)},
    ]
    for change in contradictions:
        with pytest.raises(UsageError):
            changed(made, **change)


def test_a_higher_rate_needs_more_noise_and_a_lower_one_is_cheaper() -> None:
    made = plans.make(trainings.terms(sampling=0.1))
    with pytest.raises(BudgetExhaustedError):
        changed(made, terms=replace(made.terms, sampling=SamplingRate(0.11)))
    cheaper = changed(made, terms=replace(made.terms, sampling=SamplingRate(0.09)))
    assert cheaper.training_epsilon() < made.training_epsilon()


def test_another_clip_changes_the_unit_and_not_the_cost() -> None:
    made = plans.make(trainings.terms())
    other = changed(made, recipe=replace(made.recipe, clip=ClipNorm(0.5)))
    assert other.training_events() == made.training_events()
    assert other.variance(other.gradient, ClipNorm(0.5)).value == pytest.approx(
        made.variance(made.gradient, ClipNorm(4.0)).value / 64
    )


def test_the_whole_cost_is_its_events_and_counts_spare_attempts() -> None:
    made = plans.make(trainings.terms(spare=4, departments=2, sampling=0.2))
    histogram, step = made.training_events()
    assert replace(histogram, count=1) == made.histogram_event()
    assert histogram.count == 2
    assert step.departments == 2
    assert (replace(step, count=1), step.count) == (made.step_event(), made.recipe.steps + 4)
    assert made.evaluation_events() == ()


def test_the_sums_come_in_their_order() -> None:
    made = plans.make(trainings.terms(holdout=0.2))
    names = list(made.sums)
    assert names[0] == "histogram"
    assert names[1:-1] == [f"train/{step}" for step in range(1, made.recipe.steps + 1)]
    assert names[-1] == "evaluate"
    assert list(plans.make(trainings.terms()).sums)[-1] != "evaluate"


def test_the_sample_is_drawn_by_the_plan_s_rate() -> None:
    full, sampled = (plans.make(trainings.terms(sampling=rate)) for rate in (1.0, 0.05))
    entropy = ScriptedEntropy("sample")
    assert full.sample(100, entropy=entropy).tolist() == list(range(100))
    assert 400 < sampled.sample(10_000, entropy=entropy).size < 600
    assert sampled.batch == pytest.approx(0.05 * full.batch)


def test_the_sums_fit_into_the_ring_and_one_that_may_wrap_is_refused() -> None:
    made = plans.make(trainings.terms())
    shape = made.sum_plan(made.gradient)
    assert (shape.ring, shape.length) == (Ring.BITS_64, made.terms.shape.weights)
    assert shape.largest == 5000 << made.gradient.bits
    with pytest.raises(SumMayWrapError):
        plans.make(trainings.terms(residents=2**44))


@pytest.mark.parametrize(
    "wrong",
    [
        {"cohort": 1, "carriers": 1},
        {"cohort": 2, "carriers": 2},
        {"carriers": 0},
        {"carriers": 5},
        {"departments": 0},
        {"departments": 5},
        {"residents": 0},
        {"spare": -1},
        {"shape": replace(trainings.SHAPE, classes=1)},
        {"shape": replace(trainings.SHAPE, columns=0)},
        {"shape": replace(trainings.NETWORK, classes=1)},
        {"shape": replace(trainings.NETWORK, inputs=0)},
        {"shape": replace(trainings.NETWORK, hidden=(4, 0))},
    ],
    ids=str,
)
def test_terms_that_contradict_each_other_are_refused(wrong) -> None:
    with pytest.raises(UsageError):
        trainings.terms(**wrong)


def test_an_epsilon_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(UsageError, match="no reasonable"):
        plans.make(trainings.terms(epsilon=1e-4, departments=4))


def test_plans_and_terms_are_documents() -> None:
    for shape in (trainings.SHAPE, trainings.NETWORK):
        asked = trainings.terms(holdout=0.1, departments=2, sampling=0.3, shape=shape)
        made = plans.make(asked)
        for kind, document in ((Terms, made.terms), (TrainingPlan, made)):
            mapping = json.loads(documents.write(document))
            assert documents.read(kind, mapping, what="it") == document


def test_the_same_terms_give_the_same_plan() -> None:
    first = plans.make(trainings.terms())
    plans.make.cache_clear()
    assert plans.make(trainings.terms()) == first
    assert isinstance(first.gradient.noise, NoiseMultiplier)
