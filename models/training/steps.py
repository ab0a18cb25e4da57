"""Each party's part of a training under a plan: a node's integers, and what follows from sums.

A node: `histogram` once if the plan has one, then per step `check` what was asked and `gradient`,
and afterwards `evaluation` over the held-out residents; each gives what goes into
`models.secagg.node.masked`. Whoever has the totals: `start`, then per step `question` and
`advanced`, and in the end `parameters` and `evaluated`; `save` and `restore` in between. Which
clip, unit, sample and divisor are used is the plan's, never the caller's.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from models import documents
from models.errors import DataContractError, ProtocolViolationError, UsageError
from models.evaluation import histograms
from models.families import adam, additive, momentum, network, network_gradient
from models.families.adam import Adam
from models.families.additive import Block, Shape
from models.families.chunks import Chunk
from models.families.momentum import Iterate, Start
from models.families.network import NetworkSpec
from models.privacy.mechanisms import to_units
from models.privacy.sampler import Integers
from models.privacy.shared_noise import SharedNoise
from models.quantities import ClipNorm, NoiseVariance
from models.randomness import Entropy
from models.training import recipe
from models.training.plan import TrainingPlan

Doubles = npt.NDArray[np.float64]
Arrays: TypeAlias = dict[str, npt.NDArray[np.generic]]
Forms: TypeAlias = dict[str, tuple[str, tuple[int, ...]]]
"""The dtype and the shape of each array, by name."""

_OTHER_MODEL = "the records are encoded for another model than the plan's"

Progress: TypeAlias = Iterate | Adam
"""A training on its way, in the hands of whoever has the totals; `step` were taken."""


class Residents(Protocol):
    """A node's training residents, as the training of a network reads them."""

    @property
    def residents(self) -> int:
        """Give how many there are."""

    def chunks(self, chosen: Integers, *, width: int) -> Iterator[Chunk]:
        """Give the rows of the chosen residents (rising indices), cut by `chunks.pieces`."""


def histogram(plan: TrainingPlan, block: Block) -> Integers:
    """Give a node's integers for the sum `plan.histogram`, over all its training residents.

    Raises:
        UsageError: the plan has no histogram.
        DataContractError: the block is of another model.
    """
    part, bound = _histogram(plan), plan.histogram_bound
    _same_model(plan, block)
    return additive.histogram(block, bound=bound, bits=part.bits)


def forms(plan: TrainingPlan) -> Forms:
    """Give the form of what a step asks a node: the arrays that a gradient is taken at."""
    shape = plan.terms.shape
    if isinstance(shape, Shape):
        rows = shape.levels + 1
        return {"weights": ("float64", (rows, shape.outputs)), "scales": ("float64", (rows,))}
    return {name: ("float32", size) for name, size in network.shapes(shape).items()}


def check(plan: TrainingPlan, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Refuse arrays that no step of the plan asks.

    Raises:
        ProtocolViolationError: a name, dtype or shape differs, or a number is not finite.
    """
    _check(forms(plan), arrays)


def gradient(
    plan: TrainingPlan,
    data: Block | Residents,
    arrays: Mapping[str, npt.NDArray[np.generic]],
    *,
    entropy: Entropy,
) -> Integers:
    """Give a node's integers for one step's sum, `plan.gradient`, over a sample drawn here.

    `arrays`: what the coordinator asked, as it came. Whatever it asked, nobody counts for more
    than the plan's clip. `data`: a block for an additive model, residents for a network.

    Raises:
        ProtocolViolationError: the arrays are not what a step asks (`check`).
        DataContractError: the records are of another model.
    """
    check(plan, arrays)
    shape, clip, bits = plan.terms.shape, plan.recipe.clip, plan.gradient.bits
    numbers = {name: array.astype(np.float64) for name, array in arrays.items()}
    chosen = plan.sample(data.residents, entropy=entropy)
    if isinstance(shape, Shape):
        block = _same_model(plan, data)
        sample = block if chosen.size == block.residents else block.part(chosen)
        return additive.gradient(
            sample, numbers["weights"], scales=numbers["scales"], bound=clip, bits=bits
        )
    if isinstance(data, Block):
        raise DataContractError(_OTHER_MODEL)
    chunks = data.chunks(chosen, width=network_gradient.row_width(shape))
    return network_gradient.gradient(shape, numbers, chunks, bound=clip, bits=bits)


def start(plan: TrainingPlan, total: Integers | None) -> Progress:
    """Give where the training starts, from the total of the histogram if the plan has one.

    A network starts from numbers that are drawn with the terms as the seed.

    Raises:
        ProtocolViolationError: the total has another length, or there should be one, or none.
    """
    shape = plan.terms.shape
    if isinstance(shape, NetworkSpec):
        if total is not None:
            raise ProtocolViolationError("the training of a network starts without a total")
        seed = documents.digest(documents.write(plan.terms), domain="training-start")
        return Adam.at(shape, network.drawn(shape, seed=bytes.fromhex(seed)))
    if total is None:
        raise ProtocolViolationError("this training starts from the total of its histogram")
    part, bound = _histogram(plan), plan.histogram_bound
    residents = plan.terms.training_residents
    floor = recipe.floor(residents, plan.variance(part, bound))
    counts = _numbers(part, total, bound=bound)
    return Iterate.at(Start.of(counts, shape=shape, residents=residents, floor=floor))


def question(plan: TrainingPlan, at: Progress) -> Arrays:
    """Give what the next step asks every node.

    Raises:
        ProtocolViolationError: all steps are taken.
    """
    _steps_left(plan, at)
    return {**at.question()}


def advanced(plan: TrainingPlan, at: Progress, total: Integers) -> Progress:
    """Give the training one step on, from the total of a step.

    Raises:
        ProtocolViolationError: the total has another length, or all steps are taken.
    """
    _steps_left(plan, at)
    mean = _numbers(plan.gradient, total, bound=plan.recipe.clip) / plan.batch
    return at.after(mean, steps=plan.recipe.steps, rate=plan.recipe.rate)


def parameters(plan: TrainingPlan, at: Progress) -> dict[str, npt.NDArray[np.float32]]:
    """Give the trained model, named as `models.families.network` says.

    Raises:
        ProtocolViolationError: steps are left to take.
    """
    if at.step != plan.recipe.steps:
        raise ProtocolViolationError("the descent has steps left to take")
    return at.parameters(steps=plan.recipe.steps)


def save(plan: TrainingPlan, at: Progress) -> Arrays:
    """Give the arrays from which `restore` goes on as if nothing had been in between."""
    del plan
    return {"step": np.array(at.step, dtype=np.int64), **at.saved()}


def restore(plan: TrainingPlan, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Progress:
    """Give the training that was saved, to the last bit.

    Raises:
        ProtocolViolationError: the arrays are not those of a training under this plan.
    """
    _check(_saved_forms(plan), arrays)
    step = int(arrays["step"])
    if not 0 <= step <= plan.recipe.steps:
        raise ProtocolViolationError("what was saved is of a training with more steps")
    numbers = {name: array.astype(np.float64) for name, array in arrays.items() if name != "step"}
    shape = plan.terms.shape
    if isinstance(shape, NetworkSpec):
        return Adam.restored(shape, step=step, numbers=numbers)
    return Iterate.restored(shape, step=step, numbers=numbers)


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


def evaluated(
    plan: TrainingPlan, total: Integers, *, answered: int | None = None
) -> tuple[Doubles, NoiseVariance]:
    """Give the summed histogram and its cells' variance, for `models.evaluation.metrics`.

    `answered`: how many departments are in the total; None: the whole cohort.

    Raises:
        UsageError: nobody is held out under this plan.
        ProtocolViolationError: the total has another length.
    """
    part, bound = _evaluated(plan), plan.evaluation_bound
    cells = _numbers(part, total, bound=bound)
    shaped = cells.reshape(histograms.shape(plan.terms.shape.classes))
    return shaped, plan.variance(part, bound, answered=answered)


def _saved_forms(plan: TrainingPlan) -> Forms:
    shape = plan.terms.shape
    found: Forms = {"step": ("int64", ())}
    if isinstance(shape, NetworkSpec):
        return found | dict.fromkeys(adam.MOVING, ("float64", (shape.weights,)))
    rows, outputs = shape.levels + 1, shape.outputs
    found |= {"scales": ("float64", (rows,)), "intercepts": ("float64", (outputs,))}
    return found | dict.fromkeys(momentum.MOVING, ("float64", (rows, outputs)))


def _check(expected: Forms, arrays: Mapping[str, npt.NDArray[np.generic]]) -> None:
    if set(arrays) != set(expected):
        raise ProtocolViolationError("the arrays are not those of the plan's model")
    for name, (dtype, shape) in expected.items():
        array = arrays[name]
        if array.dtype != np.dtype(dtype) or array.shape != shape:
            raise ProtocolViolationError(f"the array {name} has another shape or type")
        if not np.isfinite(array).all():
            raise ProtocolViolationError(f"the array {name} holds a number that is not finite")


def _steps_left(plan: TrainingPlan, at: Progress) -> None:
    if at.step >= plan.recipe.steps:
        raise ProtocolViolationError("the descent has taken all its steps")


def _evaluated(plan: TrainingPlan) -> SharedNoise:
    if plan.evaluation is None:
        raise UsageError("nobody is held out for evaluation under this plan")
    return plan.evaluation


def _numbers(part: SharedNoise, total: Integers, *, bound: ClipNorm) -> Doubles:
    if total.shape != (part.length,):
        raise ProtocolViolationError("a total has another length than the plan's sum")
    return total.astype(np.float64) * math.ldexp(bound.value, -part.bits)


def _histogram(plan: TrainingPlan) -> SharedNoise:
    if plan.histogram is None:
        raise UsageError("the training of a network has no histogram")
    return plan.histogram


def _same_model(plan: TrainingPlan, data: Block | Residents) -> Block:
    if not isinstance(data, Block) or data.shape != plan.terms.shape:
        raise DataContractError(_OTHER_MODEL)
    return data
