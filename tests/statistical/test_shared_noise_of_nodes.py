"""The noise of a cohort's sum: right when all add their shares, caught when it is not."""

from dataclasses import replace

import numpy as np
import pytest
import trainings
from fits import CLEARLY_WRONG, PLAUSIBLE, fits_variance
from scripted import ScriptedEntropy
from secure_sums import City

from models.governance.roster import Mode
from models.privacy.sampler import discrete_gaussian
from models.privacy.shared_noise import SharedNoise
from models.quantities import NoiseMultiplier
from models.secagg import coordinator, node
from models.training import plan as plans
from models.training import steps

WIDTH = 20_000
NOISE = NoiseMultiplier(13.0)


def summed(part: SharedNoise, nodes: int, *, seed: str = "") -> np.ndarray:
    entropy = ScriptedEntropy(f"{seed}{nodes}")
    return sum(
        discrete_gaussian(scale=part.scale, size=part.length, entropy=entropy) for _ in range(nodes)
    )


@pytest.mark.parametrize(("nodes", "colluders"), [(3, 1), (4, 1), (10, 0), (10, 3)])
def test_the_shares_without_the_colluders_carry_all_of_the_noise(nodes, colluders) -> None:
    honest = nodes - colluders
    part = SharedNoise.of(NOISE, length=WIDTH, carriers=honest)
    found = summed(part, honest)
    right = NOISE.value * part.reach
    assert fits_variance(found, right) > PLAUSIBLE
    for wrong in (2 / 3, 3 / 2):
        other = replace(part, scale=round(part.scale * wrong))
        assert fits_variance(summed(other, honest), right) < CLEARLY_WRONG


def test_a_missing_share_is_caught() -> None:
    part = SharedNoise.of(NOISE, length=WIDTH, carriers=4)
    assert fits_variance(summed(part, 3), NOISE.value * part.reach) < CLEARLY_WRONG


def test_of_two_nodes_each_carries_all_of_the_noise() -> None:
    part = SharedNoise.of(NOISE, length=WIDTH, carriers=1)
    assert fits_variance(summed(part, 1), NOISE.value * part.reach) > PLAUSIBLE
    assert fits_variance(summed(part, 2), NOISE.value * part.reach * np.sqrt(2)) > PLAUSIBLE


@pytest.mark.parametrize("mode", list(Mode))
def test_a_step_through_masks_is_the_sum_with_the_planned_noise(mode) -> None:
    names = [f"dep-{number}" for number in range(4)]
    city = City.of(names, mode)
    shape = replace(trainings.SHAPE, levels=4000)
    terms = trainings.terms(shape=shape, carriers=city.roster.carriers(4), residents=400)
    plan = plans.make(terms)
    codes, outcomes, owners = trainings.rows(100)
    block = trainings.block(100)
    block = type(block).of(shape, codes, outcomes=outcomes, owners=owners)
    at = steps.start(plan, np.zeros(plan.histogram.length, dtype=np.int64))
    asked = steps.question(plan, at)
    units = steps.gradient(plan, block, asked, entropy=ScriptedEntropy("sample"))
    context = city.context(plan.sum_plan(plan.gradient))
    messages = [
        node.masked(
            ready := node.prepare(city.agreements[name], context),
            units,
            receipt=city.used[name].use(ready.entry),
            entropy=ScriptedEntropy(f"noise {name}"),
        )
        for name in city.names
    ]
    found = city.total(context, messages)
    assert isinstance(found, coordinator.Total)
    noise = (found.values - 4 * units) * plan.recipe.clip.value / 2**plan.gradient.bits
    deviation = np.sqrt(plan.variance(plan.gradient, plan.recipe.clip).value)
    assert fits_variance(noise, deviation) > PLAUSIBLE
    assert fits_variance(noise, deviation * 2 / 3) < CLEARLY_WRONG
    assert fits_variance(noise, deviation * 3 / 2) < CLEARLY_WRONG
    carried = deviation**2 * terms.carriers / terms.cohort
    promised = plan.gradient.noise.value * plan.gradient.reach
    promised *= plan.recipe.clip.value / 2**plan.gradient.bits
    assert promised**2 <= carried <= 1.001 * promised**2
