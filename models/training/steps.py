"""Each party's part of a training under a plan: a node's integers, and what follows from sums.

A node: `histogram` once, then `gradient` once per step, and afterwards `evaluation` over the
held-out residents; each gives what goes into `models.secagg.node.masked`. Whoever has the
totals: `start`, then `advanced` per step, `parameters`, `evaluated`. Which clip, unit, sample and
divisor are used is the plan's, never the caller's.
"""

import math

import numpy as np
import numpy.typing as npt

from models.errors import DataContractError, ProtocolViolationError, UsageError
from models.evaluation import histograms
from models.families import additive
from models.families.additive import Block
from models.families.momentum import Iterate, Start
from models.privacy.mechanisms import to_units
from models.privacy.sampler import Integers
from models.privacy.shared_noise import SharedNoise
from models.quantities import ClipNorm, NoiseVariance
from models.randomness import Entropy
from models.training import recipe
from models.training.plan import TrainingPlan

Doubles = npt.NDArray[np.float64]


def histogram(plan: TrainingPlan, block: Block) -> Integers:
    """Give a node's integers for the sum `plan.histogram`, over all its training residents.

    Raises:
        DataContractError: the block is of another model.
    """
    _same_model(plan, block)
    return additive.histogram(block, bound=plan.histogram_bound, bits=plan.histogram.bits)


def gradient(plan: TrainingPlan, block: Block, at: Iterate, *, entropy: Entropy) -> Integers:
    """Give a node's integers for one step's sum, `plan.gradient`, over a sample drawn here.

    Raises:
        DataContractError: the block is of another model.
    """
    _same_model(plan, block)
    chosen = plan.sample(block.residents, entropy=entropy)
    sample = block if chosen.size == block.residents else block.part(chosen)
    return additive.gradient(
        sample,
        at.weights,
        scales=at.start.scales,
        bound=plan.recipe.clip,
        bits=plan.gradient.bits,
    )


def start(plan: TrainingPlan, total: Integers) -> Iterate:
    """Give where the descent starts, from the total of the histogram.

    Raises:
        ProtocolViolationError: the total has another length.
    """
    residents = plan.terms.training_residents
    bound = plan.histogram_bound
    floor = recipe.floor(residents, plan.variance(plan.histogram, bound))
    counts = _numbers(plan.histogram, total, bound=bound)
    return Iterate.at(Start.of(counts, shape=plan.terms.shape, residents=residents, floor=floor))


def advanced(plan: TrainingPlan, at: Iterate, total: Integers) -> Iterate:
    """Give the descent one step on, from the total of a step.

    Raises:
        ProtocolViolationError: the total has another length, or all steps are taken.
    """
    if at.step >= plan.recipe.steps:
        raise ProtocolViolationError("the descent has taken all its steps")
    mean = _numbers(plan.gradient, total, bound=plan.recipe.clip) / plan.batch
    return at.after(mean, steps=plan.recipe.steps, rate=plan.recipe.rate)


def parameters(plan: TrainingPlan, at: Iterate) -> dict[str, npt.NDArray[np.float32]]:
    """Give the trained model, named as `models.families.network` says.

    Raises:
        ProtocolViolationError: steps are left to take.
    """
    if at.step != plan.recipe.steps:
        raise ProtocolViolationError("the descent has steps left to take")
    return at.parameters(steps=plan.recipe.steps)


def evaluation(plan: TrainingPlan, contributions: Doubles) -> Integers:
    """Give a node's integers for the sum `plan.evaluation`, over its held-out residents.

    `contributions`: one row per resident, as `models.evaluation.histograms` makes them.

    Raises:
        UsageError: nobody is held out under this plan.
        DataContractError: the rows have another length than the plan's histogram.
    """
    part = _evaluated(plan)
    if contributions.ndim != 2 or contributions.shape[1] != part.length:  # noqa: PLR2004
        raise DataContractError("the histogram of scores has another length than the plan's")
    units = to_units(contributions, bound=plan.evaluation_bound, bits=part.bits)
    summed: Integers = units.sum(axis=0).astype(np.int64)
    return summed


def evaluated(plan: TrainingPlan, total: Integers) -> tuple[Doubles, NoiseVariance]:
    """Give the summed histogram and its cells' variance, for `models.evaluation.metrics`.

    Raises:
        UsageError: nobody is held out under this plan.
        ProtocolViolationError: the total has another length.
    """
    part, bound = _evaluated(plan), plan.evaluation_bound
    cells = _numbers(part, total, bound=bound)
    shaped = cells.reshape(histograms.shape(plan.terms.shape.classes))
    return shaped, plan.variance(part, bound)


def _evaluated(plan: TrainingPlan) -> SharedNoise:
    if plan.evaluation is None:
        raise UsageError("nobody is held out for evaluation under this plan")
    return plan.evaluation


def _numbers(part: SharedNoise, total: Integers, *, bound: ClipNorm) -> Doubles:
    if total.shape != (part.length,):
        raise ProtocolViolationError("a total has another length than the plan's sum")
    return total.astype(np.float64) * math.ldexp(bound.value, -part.bits)


def _same_model(plan: TrainingPlan, block: Block) -> None:
    if block.shape != plan.terms.shape:
        raise DataContractError("the records are encoded for another model than the plan's")
