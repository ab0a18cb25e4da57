"""The networks a study may train: their shapes, their start, and prediction in numpy.

A logistic regression is the network without hidden layers. Parameters carry the names that
torch gives a sequence of linear layers with ReLU between them (`0.weight`, `0.bias`,
`2.weight`, ...), so that what is trained, sent, released and predicted with is one thing.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.errors import ProtocolViolationError
from models.families.encoding import Encoder
from models.families.rows import affine, softmax
from models.governance.study import Study
from models.randomness import public_generator
from models.schema import STRICT

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Parameters = Mapping[str, Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A network: its number of inputs, the widths of its hidden layers, its classes."""

    __pydantic_config__ = STRICT

    inputs: int
    hidden: tuple[int, ...]
    classes: int

    @classmethod
    def of(cls, study: Study) -> "NetworkSpec":
        """Give the network that the study trains."""
        return cls(
            inputs=Encoder.of(study.inputs, bins=study.model.bins).width,
            hidden=study.model.hidden,
            classes=classes(study),
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Give the width of every layer; two classes need one output, more need one each."""
        return (self.inputs, *self.hidden, 1 if self.classes == 2 else self.classes)  # noqa: PLR2004

    @property
    def weights(self) -> int:
        """Give how many parameters there are: the length of a gradient."""
        return sum(math.prod(shape) for shape in shapes(self).values())


def classes(study: Study) -> int:
    """Give the number of classes of the study's outcome."""
    return len(study.target.categories)


def shapes(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    """Give the shape of every parameter, by name, in the order of torch's `state_dict`."""
    result: dict[str, tuple[int, ...]] = {}
    for layer, (inner, outer) in enumerate(itertools.pairwise(spec.widths)):
        result[f"{2 * layer}.weight"] = (outer, inner)
        result[f"{2 * layer}.bias"] = (outer,)
    return result


def initial(study: Study) -> dict[str, Floats]:
    """Give the public starting parameters of a study: the same for whoever computes them."""
    return drawn(NetworkSpec.of(study), seed=bytes.fromhex(study.digest()))


def drawn(spec: NetworkSpec, *, seed: bytes) -> dict[str, Floats]:
    """Give starting parameters from a public seed.

    Zeros for a logistic regression; otherwise Glorot-uniform weights (Glorot and Bengio 2010)
    and zero biases.
    """
    generator = public_generator(seed)
    result = {}
    for name, shape in shapes(spec).items():
        if len(shape) == 1 or not spec.hidden:
            result[name] = np.zeros(shape, dtype=np.float32)
        else:
            limit = np.sqrt(6.0 / sum(shape))
            result[name] = generator.uniform(-limit, limit, size=shape).astype(np.float32)
    return result


def flat(spec: NetworkSpec, parameters: Parameters) -> Doubles:
    """Give all parameters as one vector, in the order of `shapes`."""
    return np.concatenate([parameters[name].astype(np.float64).ravel() for name in shapes(spec)])


def named(spec: NetworkSpec, vector: Doubles) -> dict[str, Floats]:
    """Give the parameters that a vector (`flat`) holds."""
    every = shapes(spec)
    ends = np.cumsum([math.prod(shape) for shape in every.values()])[:-1]
    parts = np.split(vector.astype(np.float32), ends)
    return {
        name: part.reshape(shape) for (name, shape), part in zip(every.items(), parts, strict=True)
    }


def check(spec: NetworkSpec, parameters: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Refuse parameters that are not those of this network.

    Raises:
        ProtocolViolationError: names, dtype or a shape differ, or a number is not finite.
    """
    expected = shapes(spec)
    if set(parameters) != set(expected):
        raise ProtocolViolationError("the parameters are not those of the study's model")
    for name, shape in expected.items():
        array = parameters[name]
        if array.dtype != np.float32 or array.shape != shape:
            raise ProtocolViolationError(f"the parameter {name} has another shape or type")
        if not np.isfinite(array).all():
            raise ProtocolViolationError(f"the parameter {name} holds a number that is not finite")


def layers(parameters: Mapping[str, npt.NDArray[np.floating]]) -> list[tuple[Doubles, Doubles]]:
    """Give the weight and the bias of each layer, in order, in float64."""
    places = range(0, len(parameters), 2)
    kinds = ("weight", "bias")
    pairs = [
        [parameters[f"{place}.{kind}"].astype(np.float64) for kind in kinds] for place in places
    ]
    return [(weight, bias) for weight, bias in pairs]


def logits(parameters: Parameters, x: npt.NDArray[np.floating]) -> Doubles:
    """Give the outputs of the last layer for inputs of shape (rows, inputs), in float64.

    Formal guarantee: a row's outputs do not depend on the other rows (`models.families.rows`).
    """
    *hidden, last = layers(parameters)
    values: Doubles = x.astype(np.float64)
    for weight, bias in hidden:
        values = np.maximum(affine(values, weight, bias), 0.0)
    return affine(values, *last)


def probabilities(parameters: Parameters, x: npt.NDArray[np.floating]) -> Doubles:
    """Give the probability of every class, float64 of shape (rows, classes).

    With two classes, the second column is that of the outcome's last category.
    """
    return softmax(logits(parameters, x))
