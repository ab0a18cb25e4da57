"""Trainings with a secure sum that can be attacked: with the protection, or with parts of it off.

Masks are left out: they cancel, and have attacks of their own (`tests/fault`). What remains is
what everybody who sees results has: the totals, the iterates that follow from them, the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import trainings

from models.families import additive
from models.families.additive import Block, Shape
from models.privacy.sampler import discrete_gaussian
from models.privacy.shared_noise import SharedNoise
from models.quantities import ClipNorm
from models.randomness import Entropy
from models.training import plan as plans
from models.training import steps
from models.training.plan import TrainingPlan

WIDER = 16
"""How much wider than the plan's clip the broken one is: nobody here is clipped by it."""


@dataclass(frozen=True, kw_only=True)
class Defence:
    """What of the protection works: all of it, unless a test breaks something.

    Attributes:
        noise: of each share, relative to the plan.
        silent: nodes that forget their share.
        clip: whether contributions are clipped.
    """

    noise: float = 1.0
    silent: int = 0
    clip: bool = True

    def clip_of(self, plan: TrainingPlan) -> float:
        """Give the norm that a contribution really keeps to."""
        return plan.recipe.clip.value * (1 if self.clip else WIDER)


WHOLE = Defence()
NONE = Defence(noise=0.0, clip=False)


@dataclass(frozen=True, kw_only=True)
class People:
    """Residents with one row each: codes (columns, residents) and outcomes."""

    shape: Shape
    codes: np.ndarray
    outcomes: np.ndarray

    @property
    def size(self) -> int:
        return self.outcomes.size

    def block(self, chosen: np.ndarray) -> Block:
        rows = np.flatnonzero(chosen)
        return Block.of(
            self.shape,
            self.codes[:, rows],
            outcomes=self.outcomes[rows],
            owners=np.arange(rows.size),
        )

    def departments(self, chosen: np.ndarray, *, count: int) -> list[Block]:
        """Give the chosen residents, dealt out to departments."""
        which = np.arange(self.size) % count
        return [self.block(chosen & (which == each)) for each in range(count)]

    def coins(self, seed: int) -> np.ndarray:
        """Toss a fair coin for each: the attack games begin with it."""
        return np.random.default_rng(seed).random(self.size) < 0.5


@dataclass(frozen=True, kw_only=True)
class Transcript:
    """All that the coordinator sees of a training, less the shares that colluders told it."""

    plan: TrainingPlan
    parameters: dict[str, np.ndarray]
    asked: list[dict[str, np.ndarray]]
    histogram: np.ndarray
    totals: list[np.ndarray]

    @property
    def weights(self) -> np.ndarray:
        """Give the released model as (levels + 1, outputs)."""
        return np.vstack([self.parameters["0.weight"].T, self.parameters["0.bias"]])


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Nodes that train, of which the last `colluders` tell the coordinator their share."""

    blocks: Sequence[Block]
    entropy: Entropy
    defence: Defence = WHOLE
    colluders: int = 0

    def train(self, plan: TrainingPlan) -> Transcript:
        units = [steps.histogram(plan, block) for block in self.blocks]
        first, histogram = self.sums(plan, plan.histogram, units)
        at = steps.start(plan, first)
        asked, totals = [], []
        while at.step < plan.recipe.steps:
            question = steps.question(plan, at)
            units = [self._units(plan, block, question) for block in self.blocks]
            total, seen = self.sums(plan, plan.gradient, units)
            asked.append(question)
            totals.append(seen)
            at = steps.advanced(plan, at, total)
        return Transcript(
            plan=plan,
            parameters=steps.parameters(plan, at),
            asked=asked,
            histogram=histogram,
            totals=totals,
        )

    def _units(self, plan: TrainingPlan, block: Block, asked: dict) -> np.ndarray:
        if self.defence.clip:
            return steps.gradient(plan, block, asked, entropy=self.entropy)
        wide = ClipNorm(self.defence.clip_of(plan))
        bits = plan.gradient.bits
        weights, scales = asked["weights"], asked["scales"]
        return WIDER * additive.gradient(block, weights, scales=scales, bound=wide, bits=bits)

    def sums(
        self, plan: TrainingPlan, part: SharedNoise, units: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give the total, and the total less the colluders' shares."""
        del plan
        shares = [self._share(part, node) for node in range(len(units))]
        known = shares[len(units) - self.colluders :]
        total = sum(units) + sum(shares)
        return total, total - sum(known, np.zeros_like(total))

    def _share(self, part: SharedNoise, node: int) -> np.ndarray:
        scale = round(part.scale * self.defence.noise)
        if scale == 0 or node < self.defence.silent:
            return np.zeros(part.length, dtype=np.int64)
        return discrete_gaussian(scale=scale, size=part.length, entropy=self.entropy)


def crowd(size: int, *, columns: int, levels: int, seed: int) -> People:
    """Give residents with many columns, whose outcome depends on the first and mostly on chance."""
    generator = np.random.default_rng(seed)
    within = generator.integers(0, levels, size=(columns, size))
    chance = 1 / (1 + np.exp(-2.0 * (within[0] / (levels - 1) - 0.5)))
    return People(
        shape=Shape(levels=columns * levels, columns=columns, classes=2),
        codes=within + levels * np.arange(columns)[:, None],
        outcomes=(generator.random(size) < chance).astype(np.int64),
    )


def canaries(size: int) -> People:
    """Give residents made for an audit: each has two levels of its own, which nobody else can have.

    So a resident's gradient lies along those levels, but for the intercept; with outcomes half and
    half it is as long as the clip allows, in every step, and would be several times as long.
    """
    return People(
        shape=Shape(levels=2 * size, columns=2, classes=2),
        codes=np.arange(2 * size).reshape(2, size),
        outcomes=np.arange(size) % 2,
    )


def plan_for(people: People, **changes: object) -> TrainingPlan:
    """Give the plan of a training on about half of the people."""
    settings = {"residents": people.size // 2, "shape": people.shape, **changes}
    return plans.make(trainings.terms(**settings))


def by_heart(people: People, **changes: object) -> TrainingPlan:
    """Give the plan of a training that learns its residents by heart if nothing protects them."""
    plan = plan_for(people, epsilon=100.0, **changes)
    return replace(plan, recipe=replace(plan.recipe, steps=60))
