"""Whatever the terms: a plan keeps them by an independent closed form, or there is none."""

import math

import trainings
from hypothesis import given
from hypothesis import strategies as st
from oracles import gaussian_epsilon

from models.errors import UsageError
from models.privacy.sampler import LARGEST_SCALE
from models.training import plan as plans

COHORTS = st.integers(2, 20).flatmap(
    lambda cohort: st.tuples(
        st.just(cohort),
        st.just(1) if cohort == 2 else st.integers(1, cohort),
        st.integers(1, cohort),
    )
)


@given(
    cohort=COHORTS,
    epsilon=st.floats(0.02, 20),
    delta=st.sampled_from([1e-9, 1e-6, 1e-5, 1e-3]),
    residents=st.integers(1, 10**7),
    holdout=st.sampled_from([0.0, 0.1, 0.9]),
    spare=st.integers(0, 50),
)
def test_a_full_batch_plan_keeps_its_terms(
    cohort, epsilon, delta, residents, holdout, spare
) -> None:
    size, carriers, m = cohort
    terms = trainings.terms(
        cohort=size,
        carriers=carriers,
        departments=m,
        epsilon=epsilon,
        delta=delta,
        residents=residents,
        holdout=holdout,
        spare=spare,
    )
    try:
        made = plans.make(terms)
    except UsageError:
        assert m / epsilon > 20
        return

    def squared(part: plans.SharedNoise, sums: int) -> float:
        """From the integers alone: what m departments move, over what the carriers add."""
        most = m * (2**part.bits + math.sqrt(part.length))
        return sums * most**2 / (carriers * part.scale**2 - 16)

    draws = 2 if spare else 1
    steps = made.recipe.steps + spare
    total = squared(made.histogram, draws) + squared(made.gradient, steps)
    assert gaussian_epsilon(delta, math.sqrt(total)) <= epsilon
    if made.evaluation is not None:
        assert gaussian_epsilon(delta, math.sqrt(squared(made.evaluation, draws))) <= epsilon
    for part in (made.histogram, made.gradient):
        assert part.scale <= LARGEST_SCALE
        made.sum_plan(part).check(size)
