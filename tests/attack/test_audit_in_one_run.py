"""One run with canaries: what was lost at least stays below what the plan says may be lost.

The auditor is the coordinator, and one of three departments tells it its share of the noise: the
worst that the plan allows for. It sees all sums, or the released model alone. Entropy is scripted
(the results never flicker), except in the nightly audit.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import attackers
import numpy as np
import pytest
import victims
from scripted import ScriptedEntropy
from secure_sums import City, department_names
from victims import Cohort, Defence, Transcript

from models.evaluation.auditing import Guesses, noise_chance
from models.quantities import Delta, NoiseVariance
from models.randomness import Entropy, SystemEntropy

DELTA = Delta(1e-5)
MANY, FEW = 20_000, 10_000  # canaries: where a small loss must be seen, where a large one
GUESSED = 10  # the coin of one canary in so many is guessed
QUARTER, TENTH = Defence(noise=0.25), Defence(noise=0.1)
NO_CLIP = Defence(clip=False)
SILENT = Defence(silent=1)
ONE = NoiseVariance(1.0)
PLAUSIBLE, CLEARLY_WRONG = 1e-6, 1e-9


def run(
    epsilon: float, defence: Defence, *, size: int, entropy: Entropy | None = None
) -> tuple[victims.People, np.ndarray, Transcript]:
    canaries = victims.canaries(size)
    coins = canaries.coins(3)
    cohort = Cohort(
        blocks=canaries.departments(coins, count=3),
        entropy=entropy or ScriptedEntropy(f"audit {epsilon} {defence}"),
        defence=defence,
        colluders=1,
    )
    plan = victims.plan_for(canaries, epsilon=epsilon, cohort=3, carriers=2)
    return canaries, coins, cohort.train(plan)


audited = cache(run)


@dataclass(frozen=True, kw_only=True)
class ThroughMasks(Cohort):
    """The nodes' own messages, with shares drawn and masked where nodes do it; no colluders."""

    numbers: Iterator[int] = field(default_factory=itertools.count)

    def sums(self, plan, part, units):
        city = City.of(department_names(len(units)))
        context = city.context(plan.sum_plan(part), step=f"train/1/{next(self.numbers)}")
        pairs = zip(city.names, units, strict=True)
        found = city.total(context, [city.message(name, context, own) for name, own in pairs])
        return found.values, found.values


def guesses(attack, epsilon: float, defence: Defence) -> Guesses:
    size = MANY if defence == victims.WHOLE else FEW
    canaries, coins, seen = audited(epsilon, defence, size=size)
    scores = attack(canaries, seen, clip=defence.clip_of(seen.plan))
    return Guesses.of(scores, coins, made=size // GUESSED)


@pytest.mark.parametrize(("epsilon", "power"), [(1.0, 0.3), (4.0, 1.5)])
def test_all_sums_together_lose_something_and_no_more_than_planned(epsilon, power) -> None:
    found = guesses(attackers.likelihood, epsilon, victims.WHOLE).least_epsilon(delta=DELTA)
    assert power < found <= epsilon


@pytest.mark.parametrize(("epsilon", "power"), [(1.0, 0.05), (4.0, 0.5)])
def test_the_released_model_loses_less_than_all_sums(epsilon, power) -> None:
    model = guesses(attackers.from_model, epsilon, victims.WHOLE).least_epsilon(delta=DELTA)
    sums = guesses(attackers.likelihood, epsilon, victims.WHOLE).least_epsilon(delta=DELTA)
    assert power < model < sums


def test_what_nodes_really_send_loses_no_more_than_planned() -> None:
    canaries = victims.canaries(4000)
    coins, plan = canaries.coins(5), victims.plan_for(canaries, epsilon=4.0, cohort=3, carriers=2)
    cohort = ThroughMasks(blocks=canaries.departments(coins, count=3), entropy=ScriptedEntropy(0))
    seen = cohort.train(plan)
    scores = attackers.likelihood(canaries, seen, clip=plan.recipe.clip.value)
    found = Guesses.of(scores, coins, made=400).least_epsilon(delta=DELTA)
    assert 0.8 < found <= 4.0
    noise = attackers.noise_alone(canaries, seen, coins)
    assert noise_chance(noise, variance=ONE) > PLAUSIBLE


@pytest.mark.parametrize("epsilon", [1.0, 4.0])
@pytest.mark.parametrize(
    ("attack", "broken"),
    [
        pytest.param(attackers.likelihood, QUARTER, id="sums, a quarter of the noise"),
        pytest.param(attackers.likelihood, NO_CLIP, id="sums, no clip"),
        pytest.param(attackers.from_model, TENTH, id="model, a tenth of the noise"),
    ],
)
def test_noise_or_a_clip_that_is_missing_is_found_out(attack, broken, epsilon) -> None:
    assert guesses(attack, epsilon, broken).least_epsilon(delta=DELTA) > epsilon


def test_a_missing_share_is_seen_in_the_variance_and_in_no_guess() -> None:
    assert guesses(attackers.likelihood, 1.0, SILENT).least_epsilon(delta=DELTA) < 1.0
    assert variance_chance(SILENT) < CLEARLY_WRONG


def test_the_right_noise_is_accepted_and_two_thirds_or_three_halves_of_it_are_not() -> None:
    assert variance_chance(victims.WHOLE) > PLAUSIBLE
    for wrong in (2 / 3, 3 / 2):
        assert variance_chance(Defence(noise=wrong)) < CLEARLY_WRONG


def variance_chance(defence: Defence) -> float:
    """Test the noise of all shares where nobody contributed; one department is no colluder here."""
    canaries = victims.canaries(1000)
    coins = canaries.coins(4)
    blocks = canaries.departments(coins, count=3)
    cohort = Cohort(blocks=blocks, entropy=ScriptedEntropy(f"{defence}"), defence=defence)
    seen = cohort.train(victims.plan_for(canaries, cohort=3, carriers=2))
    return noise_chance(attackers.noise_alone(canaries, seen, coins), variance=ONE)


@pytest.mark.nightly
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("epsilon", [0.5, 1.0, 2.0, 4.0, 8.0])
def test_large_audits_with_fresh_noise(epsilon) -> None:
    """Noise of the system: a right program is accused in about one of a million nights."""
    confidence = 1 - 1e-6 / 5
    canaries, coins, seen = run(epsilon, victims.WHOLE, size=100_000, entropy=SystemEntropy())
    scores = attackers.likelihood(canaries, seen, clip=seen.plan.recipe.clip.value)
    found = Guesses.of(scores, coins, made=2000)
    assert found.least_epsilon(delta=DELTA, confidence=confidence) <= epsilon
    assert found.least_epsilon(delta=DELTA) > 0.25 * epsilon
    noise = attackers.noise_alone(canaries, seen, coins)
    assert noise_chance(noise, variance=NoiseVariance(2 / 3)) > 1e-6 / 5  # one of three is known
