"""Federated averaging under masks: the integers that a department adds, and what their sum says.

In a study with local noise and a `secure_sum` block every department trains as without the block,
with all of its own noise. What it has released, the parameters θ and the weight w, is then written
as integers, w·θ and w in units of 2^-bits, and added up under masks; so are the histograms of
scores, in the units of their own noise.

Formal guarantee: `update` and `scores` are functions of a release alone, and whatever is made of
one costs residents nothing (post-processing). So (ε, δ) is that of the releases
(`models.privacy.plan`), whoever takes the masks off: it does not rest on a secure sum. The noise
that `models.secagg.node` adds to every message is there because every message has some; here it is
a rounding of `_SCALE` units, and nothing is promised for it.

That includes attempts at one round with different departments in them. The difference of two such
sums is the update of the departments that are in one only, but for the rounding: a department
repeats the very release that it stored (`node.gate.averaged_sums`), so the difference shows nothing
that the department had not protected with all of its noise.

Bounds are public: parameters are cut to ±2^10, a weight to at least twice the residents that the
study says there are. Then no message exceeds 2^52 units, and a thousand of them fit into 64 bits
(`models.secagg.rings`).
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from models.errors import RunFailedError, UsageError
from models.evaluation import histograms
from models.families import network
from models.families.network import NetworkSpec
from models.governance.study import Study
from models.privacy.mechanisms import Grid
from models.privacy.plan import plan
from models.privacy.sampler import Integers
from models.quantities import NoiseMultiplier, NoiseVariance
from models.secagg.rings import Ring, SumPlan

Values = Mapping[str, npt.NDArray[np.generic]]
Doubles = npt.NDArray[np.float64]

LARGEST_PARAMETER = 1 << 10
"""Parameters beyond it are cut. A mean of half of it is a training that diverged."""

_MOST_BITS = 52
_SCALE = 8


def update_sum(study: Study) -> SumPlan:
    """Give the shape of a round's sum: all parameters, then the weight.

    Raises:
        UsageError: the study's departments are not averaged under masks.
    """
    _check(study)
    return _plan(NetworkSpec.of(study).weights + 1)


def scores_sum(study: Study) -> SumPlan:
    """Give the shape of the sum of the histograms of scores. Raises as `update_sum`."""
    _check(study)
    return _plan(math.prod(histograms.shape(network.classes(study))))


def update(study: Study, values: Values) -> Integers:
    """Give a department's integers of a round, from the parameters and the weight it released.

    Raises:
        ProtocolViolationError: the parameters are not those of the study's model.
    """
    spec = NetworkSpec.of(study)
    parameters = {name: values[name].astype(np.float32) for name in network.shapes(spec)}
    network.check(spec, parameters)
    weight = 1.0
    if study.averaging.weights == "noisy-count":
        weight = min(float(values["weight"]), float(_heaviest(study)))
    cut = np.clip(network.flat(spec, parameters), -LARGEST_PARAMETER, LARGEST_PARAMETER)
    return _units(weight * np.append(cut, 1.0), bits=update_bits(study))


def mean(study: Study, total: Integers) -> tuple[dict[str, network.Floats], float]:
    """Give the weighted mean of the departments' parameters, and their weight together.

    Raises:
        RunFailedError: the training diverged, or somebody spoiled the sum.
    """
    numbers = np.ldexp(total.astype(np.float64), -update_bits(study))
    weight = float(numbers[-1])
    if weight <= 0:
        raise RunFailedError("the departments' weights do not add up to more than nothing")
    vector = numbers[:-1] / weight
    if np.abs(vector).max() >= LARGEST_PARAMETER / 2:
        raise RunFailedError(
            "the training diverged: its numbers grew without bound",
            hint="Propose the study again with a lower learning rate.",
        )
    return network.named(NetworkSpec.of(study), vector), weight


def scores(study: Study, histogram: Doubles) -> Integers:
    """Give a department's integers of the evaluation, from the histogram it released: exactly."""
    bound = histograms.sensitivity(network.classes(study)).value
    return _units(histogram.ravel() / bound, bits=score_bits(study))


def evaluated(study: Study, total: Integers, *, answered: int) -> tuple[Doubles, NoiseVariance]:
    """Give the summed histogram of `answered` departments, and the variance of its cells."""
    classes = network.classes(study)
    unit = math.ldexp(histograms.sensitivity(classes).value, -score_bits(study))
    own = histograms.noise_variance(_noise(study), classes=classes, departments=answered)
    cells = (total.astype(np.float64) * unit).reshape(histograms.shape(classes))
    return cells, NoiseVariance(own.value + answered * (_SCALE * unit) ** 2)


def update_bits(study: Study) -> int:
    """Give how fine a round's integers are: 2^bits stand for 1."""
    return _MOST_BITS - (LARGEST_PARAMETER * _heaviest(study) - 1).bit_length()


def score_bits(study: Study) -> int:
    """Give how fine the integers of the evaluation are: 2^bits stand for one resident's most."""
    return Grid.of(_noise(study)).bits


def _heaviest(study: Study) -> int:
    """Give the most that a department can weigh: a power of two."""
    if study.averaging.weights == "equal":
        return 1
    return 1 << (2 * study.summed.residents - 1).bit_length()


def _noise(study: Study) -> NoiseMultiplier:
    noise = plan(study).evaluation
    if noise is None:
        raise UsageError("departments are averaged under masks with local noise only")
    return noise


def _units(numbers: Doubles, *, bits: int) -> Integers:
    largest = float(1 << _MOST_BITS)
    units: Integers = np.clip(np.rint(np.ldexp(numbers, bits)), -largest, largest).astype(np.int64)
    return units


def _plan(length: int) -> SumPlan:
    return SumPlan(ring=Ring.BITS_64, length=length, largest=1 << _MOST_BITS, scale=_SCALE)


def _check(study: Study) -> None:
    if not study.masked:
        raise UsageError(f"the departments of the study {study.study} do not mask their updates")
