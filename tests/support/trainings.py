"""Terms, blocks and trainings for tests of training with a secure sum."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.families.additive import Block, Shape
from models.families.network import NetworkSpec
from models.privacy.sampler import discrete_gaussian
from models.privacy.shared_noise import SharedNoise
from models.quantities import Delta, Epsilon, SamplingRate, Share
from models.randomness import Entropy
from models.training import steps
from models.training.plan import TrainingPlan
from models.training.terms import Terms

SIZES = (4, 3, 6)
SHAPE = Shape(levels=sum(SIZES), columns=len(SIZES), classes=2)
NETWORK = NetworkSpec(inputs=5, hidden=(8,), classes=2)

TERMS = Terms(
    epsilon=Epsilon(1.0),
    delta=Delta(1e-5),
    residents=5000,
    shape=SHAPE,
    cohort=4,
    carriers=3,
    departments=1,
    sampling=SamplingRate(1.0),
    holdout=Share(0.0),
    spare=0,
)


def terms(**changes: object) -> Terms:
    numbers = {"epsilon": Epsilon, "sampling": SamplingRate, "holdout": Share, "delta": Delta}
    return replace(TERMS, **{k: numbers.get(k, lambda v: v)(v) for k, v in changes.items()})


def rows(
    residents: int, *, most_rows: int = 1, classes: int = 2, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give codes (columns, rows), outcomes that depend on them, and owners."""
    generator = np.random.default_rng(seed)
    owners = np.repeat(np.arange(residents), generator.integers(1, most_rows + 1, size=residents))
    starts = np.cumsum([0, *SIZES[:-1]])
    within = [generator.integers(0, size, size=owners.size) for size in SIZES]
    codes = np.array([start + level for start, level in zip(starts, within, strict=True)])
    chance = 1 / (1 + np.exp(-(within[0] - 1.5) - 0.5 * (within[2] - 2.5)))
    outcomes = (generator.random(owners.size) < chance).astype(np.int64)
    if classes > 2:
        outcomes = (outcomes + within[1]) % classes
    return codes, outcomes, owners


def block(residents: int, *, classes: int = 2, **settings: int) -> Block:
    codes, outcomes, owners = rows(residents, classes=classes, **settings)
    return Block.of(replace(SHAPE, classes=classes), codes, outcomes=outcomes, owners=owners)


def total(part: SharedNoise, units: Sequence[np.ndarray], *, entropy: Entropy) -> np.ndarray:
    """Give what the coordinator sees: every node's integers with its share."""
    shares = (discrete_gaussian(scale=part.scale, size=part.length, entropy=entropy) for _ in units)
    return sum(units) + sum(shares)


def train(
    plan: TrainingPlan,
    blocks: Sequence[Block] | Sequence[steps.Residents],
    *,
    entropy: Entropy,
    stop: int | None = None,
) -> dict[str, np.ndarray]:
    """Train; at step `stop`, keep no more than a checkpoint."""
    first = None
    if plan.histogram is not None:
        units = [steps.histogram(plan, each) for each in blocks]
        first = total(plan.histogram, units, entropy=entropy)
    at = steps.start(plan, first)
    while at.step < plan.recipe.steps:
        if at.step == stop:
            at = steps.restore(plan, steps.save(plan, at))
        asked = steps.question(plan, at)
        units = [steps.gradient(plan, each, asked, entropy=entropy) for each in blocks]
        at = steps.advanced(plan, at, total(plan.gradient, units, entropy=entropy))
    return steps.parameters(plan, at)
