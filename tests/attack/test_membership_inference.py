"""Membership inference against a released model, and against all sums of its training.

About 2,000 residents are in and 2,000 are not, by a fair coin each; with 100 columns of 20 levels
and outcomes that are mostly chance, there is much to learn by heart. The attackers know all 4,000
records. At ε 1 no attack passes what ε allows; without noise, attacks do. Entropy is scripted.
"""

from functools import cache

import attackers
import numpy as np
import pytest
import victims
from scipy import stats
from scripted import ScriptedEntropy
from victims import Cohort, Defence, People, Transcript

from models.evaluation import membership
from models.evaluation.auditing import Guesses
from models.evaluation.membership import Alarms
from models.quantities import Delta, Epsilon
from models.randomness import Entropy, SystemEntropy
from models.training.plan import TrainingPlan
from models.training.terms import GaussianMu

EPSILON, DELTA = Epsilon(1.0), Delta(1e-5)
PEOPLE, SHADOWS, LOOKS = 4000, 8, 2
GAUSSIAN_AUC = float(stats.norm.cdf(GaussianMu.of(EPSILON, DELTA).value / np.sqrt(2)))
"""The area under the curve of the Gaussian mechanism itself (Dong, Roth, Su 2022)."""

LIMIT = GAUSSIAN_AUC + 0.03
"""The attack on all sums comes near that area; in one training it varies by about .013."""

NO_NOISE = Defence(noise=0.0)
CLAIMS = (40, 200, 1000)
SURE = 1 - 1e-6 / (2 * len(CLAIMS))
"""Claims of both kinds and three sizes are looked at: together wrong once in a million."""


@cache
def people() -> People:
    return victims.crowd(PEOPLE, columns=100, levels=20, seed=1)


def plan_of(defence: Defence) -> TrainingPlan:
    made = victims.by_heart if defence == victims.NONE else victims.plan_for
    return made(people(), carriers=4)


def coins() -> np.ndarray:
    return people().coins(7)


def attacked(defence: Defence, entropy: Entropy) -> Transcript:
    blocks = people().departments(coins(), count=4)
    return Cohort(blocks=blocks, entropy=entropy, defence=defence).train(plan_of(defence))


def scores_of(defence: Defence, *, entropy: Entropy, shadows: int) -> dict[str, np.ndarray]:
    """Give the scores of each attack on one training."""
    seen = attacked(defence, entropy)
    observed = attackers.confidences(people(), seen)
    others, inside = attackers.shadows(
        people(), seen.plan, models=shadows, defence=defence, entropy=entropy
    )
    clip = defence.clip_of(seen.plan)
    return {
        "loss": observed,
        "lira online": membership.online(observed, others, inside),
        "lira offline": membership.offline(observed, others, inside),
        "all sums": attackers.from_sums(people(), seen, looks=LOOKS, clip=clip),
    }


@cache
def scripted(defence: Defence) -> dict[str, np.ndarray]:
    return scores_of(defence, entropy=ScriptedEntropy(f"{defence}"), shadows=SHADOWS)


ATTACKS = ("loss", "lira online", "lira offline", "all sums")


def proved(scores: np.ndarray, inside: np.ndarray) -> float:
    """Give the ε that the rates of alarms show, claiming "was in" or "was not" for a few or many.

    With (ε, δ), true alarms are at most e^ε times as frequent as false ones, plus δ.
    """
    both = ((scores, inside), (-scores, ~inside))
    alarms = [Alarms.of(*each, claimed=claimed) for each in both for claimed in CLAIMS]
    return max(alarm.least_epsilon(delta=DELTA, confidence=SURE) for alarm in alarms)


def guessed(scores: np.ndarray, inside: np.ndarray) -> float:
    """Give the ε that the 400 surest guesses show, which may share one training's noise."""
    centred = scores - np.median(scores)
    return Guesses.of(centred, inside, made=400).least_epsilon(delta=DELTA)


@pytest.mark.parametrize("attack", ATTACKS)
def test_at_epsilon_one_attackers_hardly_do_better_than_chance(attack) -> None:
    found = membership.auc(scripted(victims.WHOLE)[attack], coins())
    assert 0.45 < found < LIMIT < membership.largest_auc(epsilon=EPSILON, delta=DELTA)


@pytest.mark.parametrize("attack", ATTACKS)
def test_at_epsilon_one_alarms_keep_to_what_epsilon_allows(attack) -> None:
    scores = scripted(victims.WHOLE)[attack]
    assert proved(scores, coins()) <= EPSILON.value
    assert guessed(scores, coins()) <= EPSILON.value


@pytest.mark.parametrize("attack", ATTACKS)
def test_without_noise_and_clip_the_same_attackers_tell_who_was_in(attack) -> None:
    scores = scripted(victims.NONE)[attack]
    assert membership.auc(scores, coins()) > 0.65
    assert proved(scores, coins()) > 0
    assert guessed(scores, coins()) > EPSILON.value


@pytest.mark.parametrize("attack", ["loss", "lira offline", "all sums"])
def test_with_nothing_but_the_noise_gone_alarms_pass_what_epsilon_allows(attack) -> None:
    scores = scripted(NO_NOISE)[attack]
    assert membership.auc(scores, coins()) > LIMIT
    assert guessed(scores, coins()) > EPSILON.value


def test_all_sums_tell_more_than_the_model_when_nothing_protects_them() -> None:
    scores = scripted(victims.NONE)
    of_sums, of_models = scores["all sums"], [scores[name] for name in ATTACKS[:3]]
    best = max(membership.auc(each, coins()) for each in of_models)
    assert membership.auc(of_sums, coins()) > best + 0.1
    assert proved(of_sums, coins()) > EPSILON.value


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_large_attacks_with_fresh_noise() -> None:
    """Noise of the system: a right program is accused in about one of a million nights."""
    scores = scores_of(victims.WHOLE, entropy=SystemEntropy(), shadows=64)
    for each in scores.values():
        assert membership.auc(each, coins()) < GAUSSIAN_AUC + 0.065
        assert proved(each, coins()) <= EPSILON.value
    broken = scores_of(victims.NONE, entropy=SystemEntropy(), shadows=64)
    for each in broken.values():
        assert membership.auc(each, coins()) > 0.7


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("defence", "kept"), [(victims.WHOLE, True), (Defence(noise=0.1), False)])
def test_one_resident_in_many_trainings(defence, kept) -> None:
    """Independent trainings with the resident in half of them: the limits hold exactly."""
    few = victims.canaries(400)
    plan = victims.plan_for(few, cohort=2, carriers=1)
    tosses = np.random.default_rng(11).random(2000) < 0.5
    everybody = few.coins(12)
    found = []
    for toss in tosses:
        everybody[0] = toss
        blocks = few.departments(everybody, count=2)
        cohort = Cohort(blocks=blocks, entropy=SystemEntropy(), defence=defence, colluders=1)
        seen = cohort.train(plan)
        found.append(attackers.likelihood(few, seen, clip=plan.recipe.clip.value)[0])
    scores = np.array(found)
    alarms = Alarms.of(scores, tosses, claimed=1000)
    assert (alarms.least_epsilon(delta=DELTA, confidence=1 - 1e-6) <= EPSILON.value) == kept
